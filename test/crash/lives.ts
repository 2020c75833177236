/** Lives of child.ts: one that is to die, the recovery after it, and what must hold between the two. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Journalled } from '../support/judge.ts'
import type { Job } from './child.ts'
import { journalled } from './journalled.ts'
import type { Place } from './world.ts'

const CHILD = join(import.meta.dirname, 'child.ts')
/** A life takes a second; one that hangs is a failure, not a wait. */
const LIFE_MS_MAX = 60_000

/** A life that ends by itself, unless it is told to die at a step or a tracer kills it. */
export interface Life extends Pick<Job, 'segments' | 'rotationSeconds'> {
  readonly step?: string
  readonly occurrence?: number
  /** A command that runs the child as its last argument says, such as strace with its options. */
  readonly tracer?: readonly string[]
}

/** Lives one life in a place. Returns whether it was killed; throws where it ends by a fault of its own. */
export async function live(place: Place, life: Life): Promise<boolean> {
  const { segments, rotationSeconds, step = '', occurrence = 0, tracer = [] } = life
  const { spool, bucket } = place
  const job: Job = { spool, bucket, segments, rotationSeconds, step, occurrence }
  const [command, ...args] = [...tracer, process.execPath, CHILD, JSON.stringify(job)]
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    // with one thread for files, system calls come in one order
    env: { ...process.env, UV_THREADPOOL_SIZE: '1' },
    timeout: LIFE_MS_MAX,
  })
  let output = ''
  const keep = (chunk: Buffer) => {
    output += chunk
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  const [code, signal] = await once(child, 'close')
  assert.ok(signal === 'SIGKILL' || code === 0, `the child failed by itself (${code ?? signal}):\n${output}`)
  return signal === 'SIGKILL'
}

/** A life that only takes up what is there, ships it and ends. */
export const RECOVERY: Life = { segments: [], rotationSeconds: 3600 }

/** A life and the recovery after it: what was on disk in between, and whether the first life was killed. */
export async function liveTwice(
  place: Place,
  life: Life,
): Promise<{ readonly killed: boolean; readonly journalled: Journalled }> {
  const killed = await live(place, life)
  const onDisk = await journalled(place.spool)
  const before = await committed(place)
  assert.equal(await live(place, RECOVERY), false)
  await place.assertEmptied()
  await assertUntouched(place, before)
  return { killed, journalled: onDisk }
}

export interface Committed {
  readonly inode: number
  readonly bytes: string
}

/** The manifests in a place's bucket, by window. */
export async function committed(place: Place): Promise<Map<string, Committed>> {
  const found = new Map<string, Committed>()
  const files = await readdir(place.bucket, { recursive: true }).catch(() => [])
  for (const file of files) {
    if (!file.endsWith('.json')) continue
    const path = join(place.bucket, file)
    found.set(basename(file), { inode: (await stat(path)).ino, bytes: await readFile(path, 'utf8') })
  }
  return found
}

/** What was committed is never written again, not even with the same bytes. */
export async function assertUntouched(place: Place, before: ReadonlyMap<string, Committed>): Promise<void> {
  const after = await committed(place)
  for (const [name, was] of before) assert.deepEqual(after.get(name), was, `${name} was committed twice`)
}
