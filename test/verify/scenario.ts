/** The bucket that most tests begin with, and what they say of a report. */
import assert from 'node:assert/strict'
import { cp } from 'node:fs/promises'
import { after, before } from 'node:test'
import type { Manifest } from '../../capture/ship/mod.ts'
import {
  type CoverageSeconds,
  Decoder,
  type ProblemKind,
  type VerifyReport,
  verifyBucket,
} from '../../capture/verify/mod.ts'
import { objectOf, type Row, there } from './damage.ts'
import { Capture, Market, Place, play, RUN_A, RUN_B } from './world.ts'

/**
 * One bucket, made once a file: run A with a lost event (gap `sequence`), a reconnect, rotations, a quiet window and a
 * crash; then run B, ended in order. Every test damages a copy of it in one place.
 */
export class Scenario {
  runA: Manifest[] = []
  runB: Manifest[] = []
  /** Workers start slowly beside other tests: one decoder serves them all. */
  readonly #decoder = new Decoder()
  readonly #places: Place[] = []
  #origin: Place | undefined

  get origin(): Place {
    return there(this.#origin, 'scenario: call useScenario')
  }

  async make(): Promise<void> {
    const origin = await this.fresh()
    this.#origin = origin
    const market = new Market()
    const a = new Capture(market, origin.dir, RUN_A)
    a.connect()
    play(market, [a], 25)
    market.depth() // lost on its way
    play(market, [a], 8)
    a.disconnect()
    market.trade() // while nobody listens
    market.nowUs += 700_000
    a.connect()
    play(market, [a], 5)
    play(market, [a], 22, ['depth', 'trades'])
    play(market, [a], 4)
    this.runA = await a.crash(origin.bucket)
    market.nowUs += 3_000_000
    const b = new Capture(market, origin.dir, RUN_B)
    b.connect()
    play(market, [b], 15)
    this.runB = await b.stop(origin.bucket)
  }

  async remove(): Promise<void> {
    await this.#decoder.close()
    for (const place of this.#places) await place.remove()
  }

  /** An empty place that goes with the tests. */
  async fresh(): Promise<Place> {
    const place = await Place.make()
    this.#places.push(place)
    return place
  }

  async copy(): Promise<Place> {
    const place = await this.fresh()
    await cp(this.origin.root, place.root, { recursive: true })
    return place
  }

  async verify(place: Place): Promise<VerifyReport> {
    return await verifyBucket(place.bucket, { decoder: this.#decoder })
  }

  /** The report has this problem, and no other. */
  async expectOnly(place: Place, kind: ProblemKind, key: string, detail?: RegExp): Promise<VerifyReport> {
    const report = await this.verify(place)
    const found = report.problems.map((problem) => `${problem.kind} ${problem.key}`)
    assert.deepEqual(found, [`${kind} ${key}`], report.problems.map((problem) => problem.detail).join('\n'))
    assert.equal(report.ok, false)
    if (detail !== undefined) assert.match(there(report.problems[0]).detail, detail)
    return report
  }
}

/** Makes the scenario before the tests of a file, and removes it after them. `made: false`: only its empty places. */
export function useScenario({ made = true }: { readonly made?: boolean } = {}): Scenario {
  const scenario = new Scenario()
  if (made) before(() => scenario.make())
  after(() => scenario.remove())
  return scenario
}

export function windowOf(manifests: readonly Manifest[], window: number): Manifest {
  return there(manifests[window], `window ${window}`)
}

export function keyIn(manifests: readonly Manifest[], window: number, stream: string): string {
  return objectOf(windowOf(manifests, window), stream).key
}

/** Changes one row and leaves the others. */
export const changeRow = (at: number, change: (row: Row) => Row) => (rows: Row[]) =>
  rows.map((row, i) => (i === at ? change(row) : row))

/** Seconds of a stream in a state, over all days. */
export function seconds(report: VerifyReport, stream: string, state: keyof CoverageSeconds): number {
  const rows = report.coverage.filter((row) => row.stream === stream)
  assert.notEqual(rows.length, 0)
  return rows.reduce((sum, row) => sum + row.seconds[state], 0)
}

/** Seconds of a stream that are missing, over all days. */
export function missing(report: VerifyReport, stream: string): number {
  return seconds(report, stream, 'missing')
}
