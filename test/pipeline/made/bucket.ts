/** A bucket whose values are chosen to hurt readers, published through the real path, and what must be in it. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  Recorder,
  type RecordOptions,
  type RecordOutcome,
  recordSegment,
} from '../../../capture/record/mod.ts'
import {
  commitWindow,
  LocalBucket,
  openSpool,
  parseTimeUs,
  type Spool,
  windowName,
} from '../../../capture/ship/mod.ts'
import type { Level } from '../../support/frames.ts'
import type { Stretch } from './book.ts'
import { MadeCapture, type MadeOptions } from './capture.ts'

const MS = 1000
const SECOND = 1_000_000
/** The first id that a double cannot hold is 2^53 + 1. */
export const BIG_ID = 2n ** 53n + 1n
/** More than a row group of 8,192, in one window. */
export const BURST_EVENTS = 8300
export const CHINESE = '币安人生USDT'
export const DIGITS = '007'

export const RUNS = {
  main: '20261122T235730000Z-0000000a',
  next: '20261123T001200000Z-0000000b',
  thin: '20261123T080000000Z-0000000c',
  digits: '20261122T120000000Z-0000000d',
  crossed: '20261123T090000000Z-0000000e',
} as const

/** A linear congruential generator: the same seed makes the same bucket. */
function generator(seed: number): (below: number) => number {
  let state = BigInt(seed)
  return (below) => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & (2n ** 64n - 1n)
    return Number((state >> 33n) % BigInt(below))
  }
}

const price = (tick: number): string => (tick / 10).toFixed(1)
const BEST_BID = 600_000

/** `count` levels a side, the best at 60000.0 and 60000.1. */
function ladder(count: number): { bids: Level[]; asks: Level[] } {
  const side = (from: number, step: number): Level[] =>
    Array.from({ length: count }, (_, i) => [price(from + i * step), `${1 + (i % 7)}.${100 + i}`])
  return { bids: side(BEST_BID, -1), asks: side(BEST_BID + 1, 1) }
}

/** Changes near the touch that never cross or empty the book; some beyond a snapshot's reach, some of unknown levels. */
function changes(capture: MadeCapture, random: (below: number) => number): { bids: Level[]; asks: Level[] } {
  const side = (sign: 1 | -1, size: number): Level[] =>
    Array.from({ length: random(4) }, () => {
      const far = random(20) === 0
      const tick = (sign > 0 ? BEST_BID : BEST_BID + 1) - sign * (far ? 5000 + random(9) : random(30))
      const gone = size > 40 && random(3) === 0
      return [price(tick), gone ? '0' : `${random(9)}.${100_000 + random(900_000)}5`]
    })
  return { bids: side(1, capture.book.bids.levels.size), asks: side(-1, capture.book.asks.levels.size) }
}

/** Sends `count` events, each `everyUs` after the one before; prices each second, as the exchange does. */
function play(capture: MadeCapture, random: (below: number) => number, count: number, everyUs: number): void {
  let id = capture.book.id
  const aSecond = Math.max(1, Math.round(SECOND / everyUs))
  for (let i = 0; i < count; i++) {
    capture.wait(everyUs)
    const { bids, asks } = changes(capture, random)
    id += BigInt(2 + random(40))
    capture.depth(id, bids, asks)
    if (i % 5 === 0) capture.trade(price(BEST_BID + random(2)), `${1 + random(5)}.001`, random(2) === 0)
    if (i % aSecond === 0) {
      // the price first: its silence is not at issue where events are far apart
      capture.mark('60000.12345678', '60000.87654321', '-0.00012345', 1_795_500_000_000)
      capture.tick()
    }
  }
}

/** First event, snapshot, join: a finite reach where the snapshot is as long as was asked for. */
function joinBook(capture: MadeCapture, id: bigint, levels: { bids: Level[]; asks: Level[] }): void {
  capture.wait(30 * MS)
  // the event contains the snapshot's id, and brings nothing: both of its sides are empty
  capture.depth(id + 3n, [], [], id - 3n)
  capture.wait(70 * MS)
  capture.snapshot(id, levels.bids, levels.asks)
}

/** Over midnight, with unproven levels, a burst, a break of the chain, a reconnect, and a lost trade. */
async function makeMain(capture: MadeCapture): Promise<void> {
  const random = generator(1)
  capture.tradeId = BIG_ID
  capture.connect()
  joinBook(capture, BIG_ID, ladder(1000))
  play(capture, random, 60, SECOND)
  // of a thousand known bids three are left: those below are beyond what is known
  const gone = ladder(1000).bids.slice(3)
  capture.depth(
    capture.book.id + 9n,
    gone.map(([at]): Level => [at, '0']),
    [],
  )
  play(capture, random, 20, SECOND)
  // the prices fall silent
  for (let seconds = 0; seconds < 6; seconds++) {
    capture.wait(SECOND)
    capture.tick()
  }
  capture.nowUs = parseTimeUs('2026-11-22T23:59:59.999999Z')
  capture.tick()
  capture.nowUs = parseTimeUs('2026-11-23T00:00:00.000000Z')
  play(capture, random, BURST_EVENTS, 10 * MS)
  capture.wait(SECOND)
  const lost = capture.book.id + 50n
  capture.depth(lost + 10n, [['59999.9', '1.25']], [], lost)
  capture.wait(SECOND)
  capture.snapshot(lost + 5n, ladder(30).bids, ladder(30).asks)
  play(capture, random, 50, 100 * MS)
  capture.disconnect()
  capture.wait(SECOND)
  capture.connect()
  joinBook(capture, capture.book.id + 1000n, ladder(25))
  capture.trade('60000.1', '0.003')
  play(capture, random, 20, 100 * MS)
  capture.nowUs = parseTimeUs('2026-11-23T00:05:02.000000Z')
  play(capture, random, 12, 100 * MS)
  capture.trade('60000.1', '0.004', true, 2n)
  capture.wait(SECOND)
  await capture.stop()
}

/** The process after it, which begins with what the first one did not see. */
async function makeNext(capture: MadeCapture): Promise<void> {
  capture.tradeId = BIG_ID + 10_000n
  capture.connect()
  joinBook(capture, BIG_ID + 10_000_000n, ladder(1000))
  // more levels than are kept: the last ones are given up, and the reach moves inwards
  const between = (tick: number): Level[] =>
    [25, 45, 65].map((part) => [(tick / 10 + part / 1000).toFixed(3), '0.5'])
  capture.depth(capture.book.id + 5n, between(BEST_BID - 100), between(BEST_BID + 100))
  play(capture, generator(2), 30, 100 * MS)
  await capture.stop()
}

/** Few levels, small prices, long numbers, a mark price without funding, and an end without a word. */
export async function makeThin(capture: MadeCapture): Promise<void> {
  capture.connect()
  capture.wait(MS)
  capture.depth(105n, [], [['0.013', '123456789012.345']], 95n)
  capture.wait(MS)
  capture.snapshot(
    100n,
    [
      ['0.012341', '5'],
      ['0.01234', '0.0000005'],
    ],
    [
      ['0.012342', '0.1'],
      ['0.0123456789012345', '0.3'],
    ],
  )
  capture.mark('0.01234123456789012345', '', '', 0)
  for (let i = 0n; i < 5n; i++) {
    capture.wait(SECOND)
    capture.depth(110n + i * 10n, i % 2n === 0n ? [] : [['0.012340', `0.000000${i + 1n}`]], [])
    capture.trade('0.012341', '0.0000005')
    capture.mark('0.0123', '0.3', '0.00000001', 1_795_500_000_000)
  }
  capture.depth(200n, [['0.000000000001', '987654321.012345']], [['0.0123456789012345', '0']])
  capture.wait(SECOND)
  capture.tick()
  await capture.crash()
}

/** A symbol of digits alone, two streams, and a window in which nothing but the clock was heard. */
export async function makeDigits(capture: MadeCapture): Promise<void> {
  capture.connect()
  joinBook(capture, 5000n, {
    bids: [['7', '1']],
    asks: [
      ['7.5', '2'],
      ['8', '3'],
    ],
  })
  capture.trade('7', '1')
  for (let minute = 1; minute <= 2; minute++) {
    capture.wait(60 * SECOND)
    capture.tick()
  }
  capture.depth(5010n, [['7.1', '4']], [])
  await capture.stop()
}

/** A book that shows crossed: everything since the join is withdrawn. */
async function makeCrossed(capture: MadeCapture): Promise<void> {
  capture.connect()
  joinBook(capture, 700_000n, ladder(40))
  play(capture, generator(3), 15, 100 * MS)
  capture.nowUs = parseTimeUs('2026-11-23T09:05:00.000000Z')
  play(capture, generator(4), 5, 100 * MS)
  capture.crossing(capture.book.id + 5n, [['60010.0', '1']])
  await capture.stop()
}

export interface Recorded {
  readonly segmentPath: string
  readonly name: string
  readonly capture: MadeCapture
}

/** The made bucket: `root` is the directory that holds `parquet/` and `manifest/`. */
export class MadeBucket {
  readonly dir: string
  readonly root: string
  readonly captures: MadeCapture[] = []
  readonly windows: Recorded[] = []
  readonly #recorder = new Recorder()

  private constructor(dir: string) {
    this.dir = dir
    this.root = join(dir, 'data')
  }

  static async make(): Promise<MadeBucket> {
    const made = new MadeBucket(await mkdtemp(join(tmpdir(), 'l2cap-readers-')))
    try {
      await made.#fill()
    } catch (error) {
      await made.remove()
      throw error
    }
    return made
  }

  async #fill(): Promise<void> {
    const opened = (run: string) =>
      parseTimeUs(
        `${run.slice(0, 4)}-${run.slice(4, 6)}-${run.slice(6, 8)}T${run.slice(9, 11)}:${run.slice(11, 13)}:${run.slice(13, 15)}.000000Z`,
      )
    const one = async (
      options: Omit<MadeOptions, 'spool' | 'startUs'>,
      history: (capture: MadeCapture) => Promise<void>,
    ) => {
      const spool = await openSpool(join(this.dir, 'spool', options.run))
      const capture = new MadeCapture({ ...options, spool, startUs: opened(options.run) })
      await history(capture)
      await this.#publish(capture, spool)
    }
    await one({ run: RUNS.main, symbol: 'BTCUSDT', levels: 20 }, makeMain)
    await one({ run: RUNS.next, symbol: 'BTCUSDT', levels: 20 }, makeNext)
    await one({ run: RUNS.thin, symbol: CHINESE, levels: 5 }, makeThin)
    const digits = { symbol: DIGITS, levels: 5, streams: ['books', 'trades'] as const, rotationSeconds: 60 }
    await one({ run: RUNS.digits, ...digits }, makeDigits)
    await one({ run: RUNS.crossed, symbol: 'ETHUSDT', levels: 5 }, makeCrossed)
  }

  /** As a capture process does it: the worker records, the window is sealed and committed. */
  async #publish(capture: MadeCapture, spool: Spool): Promise<void> {
    this.captures.push(capture)
    const bucket = new LocalBucket(this.root)
    for (let window = 0; window <= capture.window; window++) {
      const name = windowName(capture.options.run, window)
      const segmentPath = spool.segmentPath(name)
      this.windows.push({ segmentPath, name, capture })
      const outDir = await spool.makeTmp(name)
      recorded(await this.#recorder.record({ segmentPath, outDir, prefix: '' }))
      await spool.sealWindow(outDir, name)
      assert.equal(await commitWindow(bucket, spool, name), 'committed')
    }
  }

  /** What is missing of a symbol's stream between its intervals, of all its runs. */
  holes(symbol: string, stream: string): { readonly before: Stretch; readonly after: Stretch }[] {
    const stretches = this.captures
      .filter((capture) => capture.options.symbol === symbol)
      .flatMap((capture) => capture.stretches.find((one) => one.stream === stream)?.ended ?? [])
    return stretches.slice(1).flatMap((after, i) => {
      const before = stretches[i]
      // a stream without a chain has no ids: whatever ended has a hole behind it
      return before !== undefined && (after.prev > before.last || after.last === 0n)
        ? [{ before, after }]
        : []
    })
  }

  /** Records a segment again, in this thread. */
  async recordAgain(options: RecordOptions): Promise<void> {
    recorded(await recordSegment(options))
  }

  async remove(): Promise<void> {
    await this.#recorder.close()
    await rm(this.dir, { recursive: true, force: true })
  }
}

function recorded(outcome: RecordOutcome): void {
  if (outcome.outcome !== 'recorded') assert.fail(`${outcome.outcome}: ${outcome.detail}`)
}
