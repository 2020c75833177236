/** Preloaded into a process: its syncs do nothing, as with a disk that lies. A loss of power must then lose data. */
import { open } from 'node:fs/promises'

const handle = await open('/dev/null')
const prototype: object = Object.getPrototypeOf(handle)
await handle.close()
Object.assign(prototype, { sync: async () => undefined, datasync: async () => undefined })
