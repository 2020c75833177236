import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type EndReason, HALT_EXIT_CODES, type HaltReason } from '../../api/reasons.ts'
import type { MarketSimOptions } from '../sim/mod.ts'
import { CAPTURES_AT_ONCE, ends, flowing, inScene } from './scene.ts'

interface Row {
  readonly name: string
  readonly reason: HaltReason
  /** What a person reads. */
  readonly message: RegExp
  readonly faults?: string
  readonly market?: Partial<MarketSimOptions>
  /** Whether rows that were written are withdrawn; `maybe`: where the last book had any. */
  readonly suspect?: 'yes' | 'maybe'
  /** Why coverage of the book had ended before, where it was not live any more. */
  readonly after?: EndReason
  /** Nothing is ever live. */
  readonly never?: true
}

/** The longest first: they run beside each other. */
const TABLE: readonly Row[] = [
  {
    name: 'three frozen connections in a row',
    reason: 'StaleFeed',
    message: /3 connections in a row froze/,
    faults: 'silence_depth+60',
    after: 'stale',
  },
  {
    name: 'more gaps than a book may have in ten minutes',
    reason: 'ResyncStorm',
    message: /more than 20 times/,
    faults: 'wrong_pu+60',
    after: 'sequence',
  },
  {
    name: 'three joins in a row with an empty side',
    reason: 'EmptyBook',
    message: /3 books in a row had an empty side/,
    faults: 'empty_side+60',
    market: { profile: { rate: 20, levels: 12 } },
    after: 'empty_side',
    suspect: 'maybe',
  },
  {
    name: 'a bid at the best ask',
    reason: 'CrossedBook',
    message: /^best bid .* is not below best ask/,
    faults: 'crossed',
    suspect: 'yes',
  },
  {
    name: 'a number of more than 15 digits',
    reason: 'PrecisionLoss',
    message: /15 significant digits/,
    faults: 'digits16',
  },
  {
    name: 'ten unreadable frames in a minute',
    reason: 'ProtocolChanged',
    message: /10 frames in a minute did not decode/,
    faults: 'garbage+20',
    after: 'parse',
  },
  {
    name: 'a symbol that was never listed',
    reason: 'SymbolUnknown',
    message: /BTCUSDT/,
    market: { symbols: ['ETHUSDT'] },
    never: true,
  },
  {
    name: "a machine's clock that is off",
    reason: 'ClockSkew',
    message: /clock/,
    market: { skewMs: 2000 },
    never: true,
  },
]

describe('a halt ends the process with its exit code, a report, and the end of coverage', {
  concurrency: CAPTURES_AT_ONCE,
}, () => {
  for (const { name, reason, message, faults, market, suspect, after, never } of TABLE) {
    it(`${name}: ${reason} (${HALT_EXIT_CODES[reason]})`, (t) =>
      inScene(async (scene) => {
        const capture = scene.capture()
        if (never !== true) await flowing(capture)
        if (faults !== undefined) scene.inject(faults)
        assert.equal(await ends(capture), HALT_EXIT_CODES[reason], capture.output.slice(-3000))
        const report = await scene.report()
        t.diagnostic(report.message)
        assert.equal(report.reason, reason)
        assert.equal(report.exitCode, HALT_EXIT_CODES[reason])
        assert.equal(report.haltsInARow, 1)
        assert.equal(report.unshippedBytes, 0)
        assert.match(report.message, message)
        if (never === true) {
          const rows = (await scene.coverage()).filter((row) => row.rows > 0)
          assert.deepEqual(rows, [])
          return
        }
        const summary = await scene.judge()
        const endings = await scene.endings()
        t.diagnostic(`${[...endings].join(', ')}; ${JSON.stringify(summary)}`)
        for (const stream of ['depth', 'books20']) assert.ok(endings.has(`${stream} ${after ?? reason}`))
        assert.ok(endings.has(`trades ${reason}`))
        if (suspect !== 'maybe') assert.equal(summary.suspects > 0, suspect === 'yes')
      }, market))
  }
})
