/** Lives of child.ts: one that is to die, the recovery after it, and what must hold between the two. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, join } from 'node:path'
import type { Journalled } from '../support/judge.ts'
import { type Ack, acksIn } from './acks.ts'
import type { Orders } from './child.ts'
import type { Job } from './harness.ts'
import { journalled } from './journalled.ts'
import type { Place } from './world.ts'

const CHILD = join(import.meta.dirname, 'child.ts')
/** A life takes a second; one that hangs is a failure, not a wait. */
const LIFE_MS_MAX = 60_000
/** Where captures keep compiled modules too: most of a short life would be spent on compiling them. */
const COMPILED = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'l2cap', 'compiled')

/** A life that ends by itself, unless it is told to die at a step or a tracer kills it. */
export interface Life extends Pick<Job, 'segments' | 'rotationSeconds'> {
  readonly step?: string
  readonly occurrence?: number
  readonly paced?: boolean
}

/** How a life is lived. */
export interface Living {
  /** Attaches a tracer to the process; it goes on when this resolves. */
  readonly attach?: ((child: ChildProcess) => Promise<void>) | undefined
  /** Environment besides ours. */
  readonly env?: Readonly<Record<string, string>> | undefined
}

/** How a life ended. */
export interface Ended {
  readonly killed: boolean
  readonly acks: readonly Ack[]
}

/** Lives lives in places, one after another in one process. Throws where one ends by a fault of its own. */
export async function live(
  places: readonly Place[],
  life: Life,
  { attach, env }: Living = {},
): Promise<Ended> {
  const { segments, rotationSeconds, step = '', occurrence = 0, paced = false } = life
  const orders: Orders = {
    jobs: places.map(({ spool, bucket }) => {
      return { spool, bucket, segments, rotationSeconds, step, occurrence, paced }
    }),
    gate: attach !== undefined,
  }
  const child = spawn(process.execPath, [CHILD, JSON.stringify(orders)], {
    stdio: ['pipe', 'pipe', 'pipe'],
    // with one thread for files, system calls come in one order
    env: { ...process.env, NODE_COMPILE_CACHE: COMPILED, ...env, UV_THREADPOOL_SIZE: '1' },
    timeout: LIFE_MS_MAX * (1 + places.length / 10),
  })
  let output = ''
  const ready = Promise.withResolvers<void>()
  const keep = (chunk: Buffer) => {
    output += chunk
    if (output.startsWith('ready\n')) ready.resolve()
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  // a process that dies before it reads says so by its end
  child.stdin.on('error', () => undefined)
  const closed = once(child, 'close')
  if (attach !== undefined) {
    await Promise.race([ready.promise, closed])
    if (child.exitCode === null) await attach(child)
    child.stdin.end('\n')
  }
  const [code, signal] = await closed
  assert.ok(signal === 'SIGKILL' || code === 0, `the child failed by itself (${code ?? signal}):\n${output}`)
  return { killed: signal === 'SIGKILL', acks: acksIn(output) }
}

/** A life that only takes up what is there, ships it and ends. */
export const RECOVERY: Life = { segments: [], rotationSeconds: 3600 }

/** A life and the recovery after it: what was on disk in between, and whether the first life was killed. */
export async function liveTwice(
  place: Place,
  life: Life,
): Promise<{ readonly killed: boolean; readonly journalled: Journalled }> {
  const { killed } = await live([place], life)
  const onDisk = await journalled(place.spool)
  await recoverAll([place])
  return { killed, journalled: onDisk }
}

/** Lets a process take up what is left in places: nothing stays there, and nothing is committed twice. */
export async function recoverAll(places: readonly Place[]): Promise<void> {
  const before = await Promise.all(places.map(committed))
  assert.equal((await live(places, RECOVERY)).killed, false)
  for (const [i, place] of places.entries()) {
    await place.assertEmptied()
    await assertUntouched(place, before[i])
  }
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
