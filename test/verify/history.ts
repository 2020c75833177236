/** Histories of a run that are written by hand, and what tests say of the report on them. */
import assert from 'node:assert/strict'
import type { Manifest } from '../../capture/ship/mod.ts'
import type { ProblemKind, VerifyReport } from '../../capture/verify/mod.ts'
import { there } from './damage.ts'
import { keyIn, type Scenario } from './scenario.ts'
import { Scribe } from './scribe.ts'
import { type Place, RUN_A } from './world.ts'

export const BIDS = [
  [99, 1],
  [98, 2],
  [97, 3],
  [96, 4],
] as const
export const ASKS = [
  [101, 1],
  [102, 2],
  [103, 3],
  [104, 4],
] as const

export interface Written {
  readonly place: Place
  readonly manifests: Manifest[]
  readonly report: VerifyReport
}

/** Writes a history to its end and verifies it. */
export async function writeHistory(
  s: Scenario,
  tell: (scribe: Scribe) => Promise<unknown> | unknown,
): Promise<Written> {
  const place = await s.fresh()
  const scribe = new Scribe(place, RUN_A)
  await tell(scribe)
  const manifests = await scribe.stop()
  return { place, manifests, report: await s.verify(place) }
}

export function right({ report }: Written): void {
  assert.deepEqual(report.problems, [])
}

export function only(
  { report, manifests }: Written,
  kind: ProblemKind,
  stream: string,
  detail: RegExp,
  window = 0,
): void {
  assert.deepEqual(
    report.problems.map((problem) => `${problem.kind} ${problem.key}`),
    [`${kind} ${keyIn(manifests, window, stream)}`],
    report.problems.map((problem) => problem.detail).join('\n'),
  )
  assert.match(there(report.problems[0]).detail, detail)
}

/** Joined at id 100 and at 120 by now; the snapshot reached two levels below the touch. */
export function joined(scribe: Scribe): Scribe {
  scribe.snapshot(100n, BIDS.slice(0, 3), ASKS.slice(0, 3), [97, 103], 90n)
  return scribe
    .delta(110n, [[99, 5]], [], 90n)
    .wait(1)
    .delta(120n, [], [[102, 6]])
    .wait(1)
}
