import { type Book, levelsProven } from '../../capture/book/mod.ts'
import type { DepthEvent, Exchange, MarkPrice, Trade } from '../../capture/exchange/mod.ts'
import type { SegmentEnd } from '../../capture/journal/mod.ts'
import { type Cut, CutSink, type OpenSegment, openSegment, Replay } from '../../capture/record/mod.ts'
import type { CoverageRow, DepthRow, Input, RowHead, RowSink } from '../../capture/session/mod.ts'
import { VERSION } from '../../capture/version.ts'
import type { TrueBooks, Wrong } from './truth.ts'

/** One row of a stream, as far as the oracle needs it. */
export interface RecordedRow {
  readonly stream: 'books' | 'depth' | 'trades' | 'mark_price'
  /** `delta`, `snapshot`, `book` for depth; empty elsewhere. */
  readonly kind: string
  readonly window: number
  readonly seq: number
  readonly connection: number
  readonly received: number
  readonly previousId: bigint
  readonly firstId: bigint
  readonly finalId: bigint
  readonly gapBefore: boolean
  /** Levels that were not so; undefined where the truth is not known at this id. */
  readonly wrong: readonly Wrong[] | undefined
  /** Its best bid is not below its best ask. */
  readonly crossed: boolean
  /** The exchange's own: transaction time of the book, time of a trade, event time of a mark price; milliseconds. */
  readonly eventTime: number
}

export interface RecordedCoverage extends CoverageRow {
  readonly seq: number
}

export type Entry = { readonly row: RecordedRow } | { readonly coverage: RecordedCoverage }

/** All windows of one run, replayed. */
export interface RecordedRun {
  readonly run: string
  readonly windows: number[]
  /** Rows and coverage as they came. */
  readonly entries: Entry[]
  /** Receive times of what left for the exchange: a silence is proven up to one of them at most. */
  readonly sent: Set<number>
  /** Receive time of the last input. */
  lastReceived: number
  lastEnd: SegmentEnd['end']
  /** What was wrong with the recording itself. */
  readonly problems: string[]
  /** What the session counted in all. */
  readonly counts: Record<string, number>
}

export interface ReplayOptions {
  /** Segments in order. */
  readonly paths: readonly string[]
  readonly truth: TrueBooks
  /** Levels a side in a row of books. */
  readonly levels: number
  /** The exchange that the session was given. */
  readonly exchange: Exchange
  readonly follow?: Follower | undefined
  /** What is left out of the run. */
  readonly cut?: Cut | undefined
}

/** Called with every input that is replayed, for a person to read along. */
export type Follower = (window: number, input: Input) => void

/** Replays the segments of one run, in order, and compares every book with the truth on the way. */
export async function replayRun(run: string, options: ReplayOptions): Promise<RecordedRun> {
  const recorded: RecordedRun = {
    run,
    windows: [],
    entries: [],
    sent: new Set(),
    lastReceived: 0,
    lastEnd: 'torn',
    problems: [],
    counts: {},
  }
  for (const path of options.paths) await replayWindow(recorded, path, options)
  return recorded
}

async function replayWindow(
  recorded: RecordedRun,
  path: string,
  { truth, levels, exchange, follow, cut }: ReplayOptions,
): Promise<void> {
  const opened = await openSegment(path)
  if ('end' in opened) {
    recorded.lastEnd = opened.end.end
    if (opened.end.end === 'corrupt') recorded.problems.push(`${path}: ${opened.end.detail}`)
    return
  }
  const { header } = opened
  const sink = new CheckingSink(recorded.entries, header.window, truth, levels)
  const cutting = cut && new CutSink(cut, sink)
  const segment = tapped(opened, recorded, follow)
  const replay = new Replay(segment, cutting ?? sink, () => Promise.resolve(), exchange)
  cutting?.begin(replay.session)
  const end = await replay.run()
  recorded.windows.push(header.window)
  recorded.lastEnd = end.end
  if (end.end === 'corrupt') recorded.problems.push(`${path}: ${end.detail}`)
  if (end.end === 'sealed' && end.trailer.stateHash !== replay.session.hash()) {
    recorded.problems.push(
      `replay_mismatch: window ${header.window}, written by ${header.writtenBy}, read by ${VERSION}`,
    )
  }
  for (const [name, count] of Object.entries(replay.counts())) {
    recorded.counts[name] = (recorded.counts[name] ?? 0) + count
  }
}

/** The segment, with a look at each input on its way. */
function tapped(segment: OpenSegment, recorded: RecordedRun, follow: Follower | undefined): OpenSegment {
  const { reader, header } = segment
  const look = (input: Input) => {
    recorded.lastReceived = input.received
    if (input.kind === 'sent') recorded.sent.add(input.received)
    follow?.(header.window, input)
  }
  return {
    ...segment,
    reader: {
      async *batches() {
        const batches = reader.batches()
        for (;;) {
          const next = await batches.next()
          if (next.done === true) return next.value
          next.value.forEach(look)
          yield next.value
        }
      },
    },
  }
}

/** Takes rows as the recorder would, and compares their books with the truth. */
class CheckingSink implements RowSink {
  readonly #entries: Entry[]
  readonly #window: number
  readonly #truth: TrueBooks
  readonly #levels: number

  constructor(entries: Entry[], window: number, truth: TrueBooks, levels: number) {
    this.#entries = entries
    this.#window = window
    this.#truth = truth
    this.#levels = levels
  }

  books(head: RowHead, event: DepthEvent, book: Book, gapBefore: boolean): void {
    const known = this.#truth.goTo(event.finalId)
    this.#row(head, 'books', '', event, gapBefore, known ? this.#wrongTop(book) : undefined, {
      crossed: isCrossed(book),
      eventTime: event.transactionTime,
    })
  }

  depth(head: RowHead, kind: string, row: DepthRow, book: Book, gapBefore: boolean): void {
    const known = this.#truth.goTo(row.finalId)
    const wrong = () => {
      const { bids, asks } = row
      const levels = [...this.#truth.wrongLevels(bids, 'bid'), ...this.#truth.wrongLevels(asks, 'ask')]
      return [...levels, ...this.#truth.wrongOf(book)]
    }
    this.#row(head, 'depth', kind, row, gapBefore, known ? wrong() : undefined, {
      crossed: isCrossed(book),
      eventTime: row.transactionTime,
    })
  }

  trade(head: RowHead, trade: Trade, gapBefore: boolean): void {
    const ids = { previousId: trade.id - 1n, firstId: trade.id, finalId: trade.id }
    this.#row(head, 'trades', '', ids, gapBefore, [], { eventTime: trade.tradeTime })
  }

  markPrice(head: RowHead, mark: MarkPrice): void {
    const ids = { previousId: 0n, firstId: 0n, finalId: 0n }
    this.#row(head, 'mark_price', '', ids, false, [], { eventTime: mark.eventTime })
  }

  coverage(head: RowHead, row: CoverageRow): void {
    this.#entries.push({ coverage: { ...row, seq: head.seq } })
  }

  /** The top of the book as a row of `books` shows it: what it calls proven must be as it truly was, slot by slot. */
  #wrongTop({ bids, asks }: Book): readonly Wrong[] {
    return [
      ...this.#truth.wrongSlots(bids, 'bid', levelsProven(bids, this.#levels)),
      ...this.#truth.wrongSlots(asks, 'ask', levelsProven(asks, this.#levels)),
    ]
  }

  #row(
    head: RowHead,
    stream: RecordedRow['stream'],
    kind: string,
    { previousId, firstId, finalId }: { previousId: bigint; firstId: bigint; finalId: bigint },
    gapBefore: boolean,
    wrong: readonly Wrong[] | undefined,
    { crossed = false, eventTime }: { readonly crossed?: boolean; readonly eventTime: number },
  ): void {
    const { seq, connection, received } = head
    this.#entries.push({
      row: {
        stream,
        kind,
        window: this.#window,
        seq,
        connection,
        received,
        previousId,
        firstId,
        finalId,
        gapBefore,
        wrong,
        crossed,
        eventTime,
      },
    })
  }
}

function isCrossed({ bids, asks }: Book): boolean {
  return bids.price(0) >= asks.price(0)
}
