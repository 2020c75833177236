import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import { STREAMS, type Stream } from '../../api/streams.ts'
import { type Cut, cutOf, positionsOf } from '../../capture/record/mod.ts'
import { isUpTo } from '../../capture/session/mod.ts'
import { GeneratedSource } from '../sim/market/mod.ts'
import { checkChains, type Violation } from '../virtual/chain.ts'
import { fault, SYMBOL } from '../virtual/plan.ts'
import { type RecordedRow, type RecordedRun, replayRun } from '../virtual/recorded.ts'
import { scene } from '../virtual/scene.ts'
import { TrueBooks } from '../virtual/truth.ts'
import { live, type Outcome } from '../virtual/world.ts'

const LEVELS = 5

/** A journal on disk, to be replayed behind any cut. */
class Journal {
  readonly whole: RecordedRun
  readonly replay: (cut?: Cut) => Promise<RecordedRun>

  private constructor(whole: RecordedRun, replay: (cut?: Cut) => Promise<RecordedRun>) {
    this.whole = whole
    this.replay = replay
  }

  static async of({ capture, sim, exchange }: Outcome, dir: string): Promise<Journal> {
    await mkdir(dir)
    const paths: string[] = []
    for (const path of capture.disk.paths) {
      paths.push(join(dir, basename(path)))
      await writeFile(join(dir, basename(path)), capture.disk.read(path))
    }
    assert.ok(sim.source instanceof GeneratedSource)
    const { walk, numbers } = sim.source.walk(SYMBOL)
    const replay = (cut?: Cut) =>
      replayRun(capture.runs[0] ?? '', {
        ...{ paths: paths.sort(), truth: new TrueBooks(walk, numbers), levels: LEVELS, exchange, cut },
      })
    return new Journal(await replay(), replay)
  }

  /** Rows that are evidence, in order. */
  rows(stream: Stream): RecordedRow[] {
    return eventsOf(this.whole, stream)
  }
}

function rowsOf(run: RecordedRun, stream: Stream): RecordedRow[] {
  return run.entries.flatMap((entry) => ('row' in entry && entry.row.stream === stream ? [entry.row] : []))
}

function eventsOf(run: RecordedRun, stream: Stream): RecordedRow[] {
  return rowsOf(run, stream).filter(({ kind }) => kind === '' || kind === 'delta')
}

/** Behind a cut a row is what it was, save for what it says of the row before it. */
function bare({ gapBefore: _gap, ...row }: RecordedRow): Omit<RecordedRow, 'gapBefore'> {
  return row
}

describe('a run behind a cut', () => {
  let dir: string
  const journals: Journal[] = []
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'l2cap-cut-'))
    const lives = [
      scene(31, { rotationSeconds: 60 }),
      scene(32, { rotationSeconds: 10 }),
      scene(33, { rotationSeconds: 15, faults: [fault('cut', 9_000), fault('drop', 17_000)] }),
    ]
    for (const [i, plan] of lives.entries())
      journals.push(await Journal.of(await live(plan), join(dir, String(i))))
  })
  after(() => rm(dir, { recursive: true, force: true }))

  /** A journal, and a cut at any of its rows in each stream. */
  async function withAnyCut(check: (journal: Journal, cut: Cut, run: RecordedRun) => void): Promise<void> {
    const at = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })
    await fc.assert(
      fc.asyncProperty(fc.nat(2), at, at, at, async (which, book, trade, mark) => {
        const journal = journals[which]
        assert.ok(journal !== undefined)
        const cut: { -readonly [S in Stream]?: { id: bigint; timeMs: number } } = {}
        for (const stream of STREAMS) {
          const rows = journal.rows(stream)
          const part = stream === 'trades' ? trade : stream === 'mark_price' ? mark : book
          const row = rows[Math.floor(rows.length * part)]
          assert.ok(row !== undefined)
          cut[stream] = { id: row.finalId, timeMs: row.eventTime }
        }
        check(journal, cut, await journal.replay(cut))
      }),
      { numRuns: 60 },
    )
  }

  it('holds the rows of one capture from the cut on, each as it was', () =>
    withAnyCut((journal, cut, run) => {
      for (const stream of STREAMS) {
        const at = cut[stream]
        assert.ok(at !== undefined)
        const later = journal
          .rows(stream)
          .filter((row) => !isUpTo({ id: row.finalId, timeMs: row.eventTime }, at))
        assert.deepEqual(eventsOf(run, stream).map(bare), later.map(bare), stream)
        const [first] = eventsOf(run, stream)
        const meets = first !== undefined && first.previousId <= at.id
        if (stream !== 'depth' && meets) assert.equal(first.gapBefore, false, `${stream}: it meets the cut`)
      }
      assert.ok(
        run.entries.every((entry) => !('row' in entry) || (entry.row.wrong ?? []).length === 0),
        'a book is not as it was',
      )
    }))

  it('begins with a whole book, and its coverage with its first row', () =>
    withAnyCut((_journal, cut, run) => {
      const violations: Violation[] = []
      checkChains(run, STREAMS, false, (violation) => violations.push(violation), cut)
      assert.deepEqual(violations, [])
      const [first] = rowsOf(run, 'depth')
      assert.notEqual(first?.kind, 'delta')
      for (const stream of ['books', 'depth', 'trades'] as const) {
        const [row] = eventsOf(run, stream)
        const coverage = run.entries.flatMap((entry) =>
          'coverage' in entry && entry.coverage.ofStream === stream && entry.coverage.rows > 0
            ? [entry.coverage]
            : [],
        )[0]
        assert.equal(coverage?.firstId, row?.finalId, stream)
        if (row !== undefined && row.previousId <= (cut[stream]?.id ?? 0n)) {
          assert.deepEqual([coverage?.previousId, coverage?.from], [row.previousId, row.received], stream)
        }
      }
    }))

  /** Where the first interval of prices begins behind a cut at that event time, and its first row, received times in µs. */
  async function pricesBehind(
    journal: Journal,
    timeMs: number,
  ): Promise<{ readonly from: number; readonly first: number }> {
    const run = await journal.replay({ mark_price: { id: 0n, timeMs } })
    const [row] = rowsOf(run, 'mark_price')
    const coverage = run.entries.flatMap((entry) =>
      'coverage' in entry && entry.coverage.ofStream === 'mark_price' ? [entry.coverage] : [],
    )[0]
    assert.ok(row !== undefined && coverage !== undefined)
    return { from: coverage.from, first: row.received }
  }

  it('prices that begin with the cut, or with the one after it, leave no hole behind those of the predecessor', async () => {
    for (const journal of journals) {
      const [own] = journal.rows('mark_price')
      assert.ok(own !== undefined)
      // the predecessor received the cut's price up to a second before we did, or would have
      const next = await pricesBehind(journal, own.eventTime - 1_000)
      assert.equal(next.first, own.received, 'nothing was left out')
      assert.ok(next.from <= own.received - 1_990_000, `it begins ${own.received - next.from} µs before`)
      const same = await pricesBehind(journal, own.eventTime)
      assert.ok(same.first > own.received, 'the first one was left out')
      assert.ok(same.from <= own.received - 990_000, `it begins ${own.received - same.from} µs before`)
    }
  })

  it('prices that begin later than the one after the cut leave the hole that there is', async () => {
    for (const journal of journals) {
      const [own] = journal.rows('mark_price')
      assert.ok(own !== undefined)
      const { from, first } = await pricesBehind(journal, own.eventTime - 2_000)
      assert.deepEqual([from, first], [own.received, own.received])
    }
  })

  it('a manifest spells a cut so that it comes back', () =>
    withAnyCut((_journal, cut) => {
      assert.deepEqual(cutOf(positionsOf(cut)), cut)
    }))
})

describe('ids that begin anew', () => {
  const cut = { id: 500n, timeMs: 1_000_000 }

  it('a lower id that is later is new, and a higher one that is far earlier is old', () => {
    assert.equal(isUpTo({ id: 499n, timeMs: 999_000 }, cut), true)
    assert.equal(isUpTo({ id: 500n, timeMs: 1_000_000 }, cut), true)
    assert.equal(isUpTo({ id: 501n, timeMs: 1_000_000 }, cut), false)
    assert.equal(isUpTo({ id: 3n, timeMs: 1_000_001 }, cut), false)
    assert.equal(isUpTo({ id: 900n, timeMs: 900_000 }, cut), true)
  })

  it('an exchange whose clock is set back a little loses nothing by it', () => {
    assert.equal(isUpTo({ id: 501n, timeMs: 998_000 }, cut), false)
  })
})
