/** Loaded before a capture: from SIGUSR2 on every sync of its journal fails, as on a disk that has gone bad. */
import { nodeJournalFs } from '../../capture/journal/mod.ts'

let failing = false
process.on('SIGUSR2', () => {
  failing = true
  process.stdout.write('from here on syncs fail\n')
})
const create = nodeJournalFs.create
nodeJournalFs.create = async (path) => {
  const file = await create(path)
  const datasync = async () => {
    if (failing) throw Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' })
    await file.datasync()
  }
  return { ...file, datasync }
}
