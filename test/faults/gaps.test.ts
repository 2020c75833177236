import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { EndReason } from '../../api/reasons.ts'
import { FAULT_KINDS, type MarketSimOptions } from '../sim/mod.ts'
import type { CaptureProcess } from '../support/capture.ts'
import { CAPTURES_AT_ONCE, inScene, isLive, kindsOf, live, type Scene, type SceneCapture } from './scene.ts'

/** Faults that come together, and the gap of the book that they must cause; none: the book stays live. */
type Step = readonly [faults: string, gap: EndReason | '']

interface Row {
  readonly name: string
  readonly steps: readonly Step[]
  readonly capture?: SceneCapture
  readonly market?: Partial<MarketSimOptions>
}

/** The longest first: they run beside each other. */
const TABLE: readonly Row[] = [
  {
    name: 'lies that nothing shows: the next audit finds them, and what vouched for the rows is withdrawn',
    capture: { guards: { auditSeconds: 30 } },
    steps: [
      ['short_snapshot,drop', 'sequence'],
      ['flip_level', 'audit_mismatch'],
    ],
  },
  {
    name: 'connections that end, are refused or hang: a gap until the next one',
    steps: [
      ['cut', 'reconnect'],
      ['close=1008', 'reconnect'],
      ['oversized', 'reconnect'],
      ['refuse+4,cut', 'reconnect'],
      ['hang_handshake,cut', 'reconnect'],
    ],
  },
  {
    name: 'silence that the exchange contradicts, and a connection without pongs: a gap, and another connection',
    steps: [
      ['silence+8', 'stale'],
      ['half_open', 'stale'],
    ],
  },
  {
    name: 'answers of REST that fail, hang, stop or hold nothing: the book only comes later',
    steps: [
      ['rest_5xx/depth,drop', 'sequence'],
      ['rest_reset/depth,drop', 'sequence'],
      ['rest_garbage/depth,drop', 'sequence'],
      ['rest_html/depth,drop', 'sequence'],
      ['slow_body/depth=3,drop', 'sequence'],
      ['rest_hang/depth,drop', 'sequence'],
    ],
  },
  {
    name: 'snapshots that are stale, cached, crossed or ahead: asked for again, or waited for',
    steps: [
      ['crossed_snapshot,drop', 'sequence'],
      ['stale_snapshot=3,drop', 'sequence'],
      ['cached_snapshot+4,drop', 'sequence'],
      ['drop', 'sequence'],
      ['ahead_snapshot=2,drop', 'sequence'],
    ],
  },
  {
    name: 'events that are lost, repeated, swapped, chained wrongly or unreadable: a gap; unknown fields: none',
    // some events leave the best levels alone
    market: { rate: 40 },
    steps: [
      ['drop', 'sequence'],
      ['drop_below', 'sequence'],
      ['duplicate', 'sequence'],
      ['reorder', 'sequence'],
      ['wrong_pu', 'sequence'],
      ['unknown_field', ''],
      ['garbage', 'parse'],
    ],
  },
]

describe('faults of the exchange that heal', { concurrency: CAPTURES_AT_ONCE }, () => {
  for (const { name, steps, capture: options, market } of TABLE) {
    it(name, (t) =>
      inScene(async (scene) => {
        const capture = scene.capture(options)
        for (const [faults, gap] of steps) {
          const tookMs = await heal(scene, capture, faults, gap)
          t.diagnostic(`${faults}: live again after ${Math.round(tookMs)} ms`)
        }
        await capture.drain()
        for (const kind of steps.flatMap(([faults]) => kindsOf(faults)))
          assert.ok(scene.sim.fired[kind] > 0, `${kind} was never felt`)
        const summary = await scene.judge()
        const endings = await scene.endings()
        t.diagnostic(`${[...endings].join(', ')}; ${JSON.stringify(summary)}`)
        assert.ok(summary.compared > 0)
        for (const [, gap] of steps.filter((step) => step[1] !== ''))
          for (const stream of ['depth', 'books20']) assert.ok(endings.has(`${stream} ${gap}`), gap)
      }, market),
    )
  }
})

it('every kind of fault of the simulated exchange is met by a real process', async () => {
  const files = (await readdir(import.meta.dirname)).filter((name) => name.endsWith('.test.ts'))
  const texts = await Promise.all(files.map((name) => readFile(join(import.meta.dirname, name), 'utf8')))
  const kinds = Object.keys(FAULT_KINDS)
  // as a name in quotes, alone or at the head of a fault
  const missing = kinds.filter((kind) => !new RegExp(`['\`,]${kind}['\`,:/=+]`).test(texts.join('\n')))
  assert.ok(kinds.length > 30, `${kinds.length} kinds`)
  assert.deepEqual(missing, [])
})

/** From a live book through faults to a live book; returns how long that took, ms. */
async function heal(
  scene: Scene,
  capture: CaptureProcess,
  faults: string,
  gap: EndReason | '',
): Promise<number> {
  const before = await live(capture)
  const started = performance.now()
  if (gap === '') {
    await scene.strike(faults)
    await capture.until('rows beyond it', ({ streams }) => rowsOf(streams) > rowsOf(before.streams) + 10)
    assert.equal(capture.status?.gaps, before.gaps)
  } else {
    scene.inject(faults)
    await capture.until(
      `the gap ${gap} by ${faults} and the live book after it`,
      (status) =>
        isLive(status) && status.gaps > before.gaps && status.reason === gap && status.since > before.since,
      60_000,
    )
  }
  return performance.now() - started
}

function rowsOf(streams: { readonly [name: string]: { readonly rows: number } }): number {
  return streams['depth']?.rows ?? 0
}
