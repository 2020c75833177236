/**
 * What the tests of faults share: a simulated exchange with one symbol, a directory with one capture's spool and
 * bucket, real capture processes on them, and a judgement of what they published. Each test has a scene of its own,
 * so that a fault that concerns a whole address disturbs nobody else.
 */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { Report } from '../../api/report.ts'
import type { CaptureStatus } from '../../capture/process/status.ts'
import { LocalBucket, type Manifest, type ManifestCoverage, parseManifest } from '../../capture/ship/mod.ts'
import { verifyBucket } from '../../capture/verify/mod.ts'
import { journalled } from '../crash/journalled.ts'
import { type FaultKindName, type MarketSimOptions, type Sim, startSim } from '../sim/mod.ts'
import { type CaptureOptions, CaptureProcess } from '../support/capture.ts'
import { type Journalled, judgeBuckets, type Summary } from '../support/judge.ts'

export const SYMBOL = 'BTCUSDT'
/** Of one file of tests: the machines this is built for have two cores, and captures mostly wait. */
export const CAPTURES_AT_ONCE = 3
/** Far above what anything here takes on a busy machine: what comes later is a failure. */
const WITHIN_MS = 180_000

/** How captures of a scene are set up, where it matters. */
export type SceneCapture = Partial<Omit<CaptureOptions, 'dir' | 'symbol' | 'endpoints'>>

/** One exchange and one place for a capture. `close` ends all that it started. */
export class Scene {
  readonly dir: string
  readonly sim: Sim
  readonly #captures = new Set<CaptureProcess>()

  static async open(market: Partial<MarketSimOptions> = {}): Promise<Scene> {
    const dir = await mkdtemp(join(tmpdir(), 'l2cap-faults-'))
    return new Scene(dir, await startSim({ seed: faultSeed(), symbols: [SYMBOL], ...market }))
  }

  private constructor(dir: string, sim: Sim) {
    this.dir = dir
    this.sim = sim
  }

  get spool(): string {
    return join(this.dir, 'spool', SYMBOL)
  }

  get bucket(): string {
    return join(this.dir, 'data')
  }

  /** A capture process that begins now. */
  capture(options: SceneCapture = {}): CaptureProcess {
    const { endpoints } = this.sim
    const capture = new CaptureProcess({
      ...{ dir: this.dir, symbol: SYMBOL, endpoints, rotationSeconds: 3, ...options },
      guards: { staleAfterSeconds: 1, auditSeconds: 600, ...options.guards },
    })
    this.#captures.add(capture)
    return capture
  }

  /** Injects faults `kind[/place][=value][+seconds]` of the one symbol, separated by commas. */
  inject(faults: string): void {
    this.sim.inject(
      faults
        .split(',')
        .map((fault) => {
          const [, kind = '', rest = '', lasts = ''] = /^([a-z0-9_]+)([^+]*)(\+.*)?$/.exec(fault) ?? []
          return `${kind}:${SYMBOL}${rest}@0${lasts}`
        })
        .join(','),
    )
  }

  /** Injects one fault and waits until somebody felt it. */
  async strike(fault: string): Promise<void> {
    const before = { ...this.sim.fired }
    this.inject(fault)
    await waitFor(`${fault} to act`, () =>
      kindsOf(fault).every((kind) => this.sim.fired[kind] > before[kind]),
    )
  }

  /** All that was committed so far, in order of runs and windows. */
  async manifests(): Promise<Manifest[]> {
    const dir = join(this.bucket, 'manifest')
    // before the first commit there is no such directory
    const files = await readdir(dir, { recursive: true }).catch(() => [])
    const names = files
      .filter((file) => file.endsWith('.json'))
      .sort((a, b) => (basename(a) < basename(b) ? -1 : 1))
    return await Promise.all(names.map(async (name) => parseManifest(await readFile(join(dir, name)))))
  }

  async coverage(): Promise<ManifestCoverage[]> {
    return (await this.manifests()).flatMap((manifest) => manifest.coverage)
  }

  /** Why coverage ended, as `stream reason`, once each. */
  async endings(): Promise<Set<string>> {
    const ended = (await this.coverage()).filter((row) => row.ended_by !== null)
    return new Set(ended.map((row) => `${row.of_stream} ${row.ended_by}`))
  }

  /** How the last process ended, by its own report. */
  async report(): Promise<Report> {
    return Report.parse(JSON.parse(await readFile(join(this.spool, 'report.json'), 'utf8')))
  }

  /** `l2cap verify` finds no problem, and what was emitted is what was published and what lies outside coverage. */
  async judge(journalled?: Journalled): Promise<Summary> {
    const { ok, problems } = await verifyBucket(new LocalBucket(this.bucket))
    assert.ok(ok, JSON.stringify(problems, null, 1))
    const truth = join(this.dir, 'truth.json')
    const [summary] = await judgeBuckets(this.sim, SYMBOL, truth, [{ path: this.bucket, journalled }])
    assert.deepEqual({ ...this.sim.violations }, { attempts: 0, messages: 0, weight: 0, early: 0 })
    return summary as Summary
  }

  /** Kills what still runs. */
  async stopCaptures(): Promise<void> {
    for (const capture of this.#captures) await capture.kill()
  }

  async close(): Promise<void> {
    await this.stopCaptures()
    await this.sim.stop()
    await rm(this.dir, { recursive: true, force: true })
  }
}

/** Runs a test in a scene of its own, and cleans up after it. */
export async function inScene(
  body: (scene: Scene) => Promise<void>,
  market: Partial<MarketSimOptions> = {},
): Promise<void> {
  const scene = await Scene.open(market)
  try {
    await body(scene)
  } finally {
    await scene.close()
  }
}

/** The seed of the markets: from FAULTS_SEED, else always the same: the processes are what is not. */
export function faultSeed(): number {
  const given = process.env['FAULTS_SEED']
  return given === undefined ? 41 : Number(given)
}

/** The kinds that a list of faults, as `inject` takes it, names. */
export function kindsOf(faults: string): FaultKindName[] {
  return faults.split(',').map((fault) => /^[a-z0-9_]+/.exec(fault)?.[0] as FaultKindName)
}

/** The book is live. */
export function isLive({ state }: CaptureStatus): boolean {
  return state === 'live'
}

/** Waits until the book is live. */
export async function live(capture: CaptureProcess): Promise<CaptureStatus> {
  return await capture.until('the live book', isLive, WITHIN_MS)
}

/** Waits until the book is live and every stream delivers. */
export async function flowing(capture: CaptureProcess): Promise<CaptureStatus> {
  return await capture.until(
    'rows of every stream',
    (status) =>
      isLive(status) &&
      Object.values(status.streams).every(({ state }) => ['live', 'flowing'].includes(state)),
    WITHIN_MS,
  )
}

/**
 * What the journal of a running capture held before its last sync: the journal syncs each second. It is taken when it
 * holds something: windows that are shipped leave it.
 */
export async function synced(scene: Scene, capture: CaptureProcess): Promise<Journalled> {
  let written = await journalled(scene.spool)
  await waitFor('rows in the journal', async () => {
    written = await journalled(scene.spool)
    return written.depth.length > 0 && written.trades.length > 0
  })
  const later = new Date(Date.now() + 2000).toISOString()
  await capture.until('rows beyond the next sync', ({ streams }) => {
    return (streams['depth']?.lastReceived ?? '') > later
  })
  return written
}

/** Waits until a process ends by itself; returns its exit code. Throws where it does not, with what it printed. */
export async function ends(capture: CaptureProcess): Promise<number | null> {
  const late = setTimeout(() => capture.child.kill('SIGKILL'), WITHIN_MS)
  const { code, signal } = await capture.exit
  clearTimeout(late)
  assert.equal(signal, null, `it did not end by itself:\n${capture.output.slice(-3000)}`)
  return code
}

/** Looks until something is so. Throws where it is not in time. */
export async function waitFor(what: string, test: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + WITHIN_MS
  while (!(await test())) {
    assert.ok(performance.now() < deadline, `${what} did not come within ${WITHIN_MS} ms`)
    await new Promise((wake) => setTimeout(wake, 20))
  }
}
