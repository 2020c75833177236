/** The command line as a real process, for tests; every process that is started ends with its test. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { RunEvent } from '../../capture/cli/events.ts'
import { LocalBucket, type Manifest, parseManifest, parseManifestKey } from '../../capture/ship/mod.ts'
import { type Sim, startSim } from '../sim/mod.ts'

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))
export const CLI = `${ROOT}capture/cli.ts`
const DEADLINE_MS = 120_000
const LOOK_EVERY_MS = 10

/** What a test gives: `after` runs when it has ended, whatever came of it. */
export interface TestContext {
  after(work: () => unknown): void
}

const ends = new WeakMap<TestContext, (() => unknown)[]>()

/** Does `work` when the test has ended, the last first: a process goes before the directory that it writes into. */
function atEnd(context: TestContext, work: () => unknown): void {
  const known = ends.get(context)
  if (known !== undefined) {
    known.push(work)
    return
  }
  const all = [work]
  ends.set(context, all)
  context.after(async () => {
    const outcomes: PromiseSettledResult<unknown>[] = []
    for (const one of all.toReversed()) outcomes.push(...(await Promise.allSettled([(async () => one())()])))
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  })
}

export async function temporary(context: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'l2cap-cli-'))
  atEnd(context, () => rm(directory, { recursive: true, force: true }))
  return directory
}

export async function simulated(
  context: TestContext,
  symbols: readonly string[] = ['BTCUSDT'],
): Promise<Sim> {
  const sim = await startSim({ seed: 11, symbols })
  atEnd(context, () => sim.stop())
  return sim
}

/** Resolves once the condition holds; rejects with `what` and what is known where it does not. */
export async function until(what: string, condition: () => boolean, state: () => string): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS
  while (!condition()) {
    assert.ok(performance.now() < deadline, `not within ${DEADLINE_MS} ms: ${what}\n${state()}`)
    await new Promise((turn) => setTimeout(turn, LOOK_EVERY_MS))
  }
}

export class L2cap {
  readonly child: ChildProcess
  readonly ended: Promise<number | null>
  /** All that it said is here: a process may be gone before its last words have come. */
  #isOver = false
  stdout = ''
  stderr = ''

  constructor(
    context: TestContext,
    args: readonly string[],
    nodeArgs: readonly string[] = [],
    program = CLI,
    env: Readonly<Record<string, string>> = {},
  ) {
    this.child = spawn(process.execPath, [...nodeArgs, program, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...withoutStore(process.env), ...env },
    })
    this.child.stdout?.on('data', (data: Buffer) => {
      this.stdout += data.toString()
    })
    this.child.stderr?.on('data', (data: Buffer) => {
      this.stderr += data.toString()
    })
    const ended = Promise.withResolvers<number | null>()
    this.child.on('close', (code) => {
      this.#isOver = true
      ended.resolve(code)
    })
    this.ended = ended.promise
    atEnd(context, async () => {
      this.child.kill('SIGKILL')
      for (const { pid } of this.events('started')) killIfThere(pid)
      await this.ended
    })
  }

  /** Events so far, of one kind. */
  events<K extends RunEvent['event']>(kind: K): Extract<RunEvent, { event: K }>[] {
    const lines = this.stdout.slice(0, this.stdout.lastIndexOf('\n') + 1).split('\n')
    const events = lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as RunEvent)
    return events.filter((event): event is Extract<RunEvent, { event: K }> => event.event === kind)
  }

  async until(what: string, condition: () => boolean): Promise<void> {
    await until(
      what,
      () => condition() || this.#isOver,
      () => this.stdout + this.stderr,
    )
    assert.ok(condition(), `it ended before: ${what}\n${this.stdout}${this.stderr}`)
  }
}

/** What the environment says of stores must not decide a test. */
function withoutStore(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^AWS_|_PROXY$/i.test(name)))
}

/** Runs a call to its end. */
export async function call(
  context: TestContext,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
) {
  const l2cap = new L2cap(context, args, [], CLI, env)
  const code = await l2cap.ended
  return { code, stdout: l2cap.stdout, stderr: l2cap.stderr }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // it has ended, as it should
  }
}

export async function manifestsOf(directory: string): Promise<Manifest[]> {
  const bucket = new LocalBucket(directory)
  const manifests: Manifest[] = []
  for await (const { key } of bucket.list('')) {
    const bytes = parseManifestKey(key) === undefined ? undefined : await bucket.get(key)
    if (bytes !== undefined) manifests.push(parseManifest(bytes))
  }
  return manifests
}

export async function filesBelow(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}
