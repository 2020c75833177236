/**
 * The cut of a run: what was published before it, by another pod or by an earlier run, is left out of its rows and its
 * coverage. It works on what `step` gave, so that the session, its state and its hash know nothing of it, and the same
 * segment with the same cut gives the same rows.
 */
import { STREAMS, type Stream } from '../../api/streams.ts'
import { Book } from '../book/mod.ts'
import { type DepthEvent, LevelBuffer, type MarkPrice, type Trade } from '../exchange/mod.ts'
import {
  type CoverageRow,
  type DepthRow,
  type DepthRowKind,
  isUpTo,
  type Position,
  type RowHead,
  type RowSink,
  type Session,
  type Standing,
} from '../session/mod.ts'
import { formatTimeUs, type Positions, parseTimeUs } from '../ship/mod.ts'

/** Coverage of a stream without ids overlaps so much, so that the times of two machines join. */
const OBSERVED_OVERLAP_US = 1_000_000
/** Of a stream that comes each second, a row that is later than the one before by no more than this is the next. */
const NEXT_MS_MAX = 1_500

/** By stream, the last row that was published before. */
export type Cut = Readonly<Partial<Record<Stream, Position>>>

/** A cut as a manifest spells it. */
export function positionsOf(cut: Cut): Positions {
  const positions: { -readonly [S in Stream]?: { id: string; time: string } } = {}
  for (const stream of STREAMS) {
    const at = cut[stream]
    if (at !== undefined) positions[stream] = { id: String(at.id), time: formatTimeUs(at.timeMs * 1000) }
  }
  return positions
}

/** Reads a cut as a manifest spells it. Throws TimeError, SyntaxError. */
export function cutOf(positions: Positions | null): Cut {
  const cut: Partial<Record<Stream, Position>> = {}
  for (const stream of STREAMS) {
    const at = positions?.[stream]
    if (at !== undefined) cut[stream] = { id: BigInt(at.id), timeMs: parseTimeUs(at.time) / 1000 }
  }
  return cut
}

/** A row that is kept. */
interface Kept {
  readonly previousId: bigint
  readonly id: bigint
  readonly received: number
  readonly timeMs?: number | undefined
}

/** The cut of one stream, along its rows and its coverage. Once a row lies behind the cut, nothing is left out. */
class StreamCut {
  readonly #at: Position
  readonly #standsAt: () => Standing | undefined
  /** When the interval at hand began, in whatever window. */
  readonly #beganAt: () => number
  #passed: boolean
  /** Rows of the interval at hand were left out, in this window or in one before. */
  #isSplit: boolean
  #first: Kept | undefined
  #kept = 0
  /** Receive time of the last row that was left out of the interval at hand; 0 for none in this window. */
  #droppedAt = 0
  /** When the cut's own row came, or would have come, here: known where the first row behind it is the next one. */
  #cutCameAt: number | undefined

  constructor(at: Position, session: Session, stream: Stream) {
    this.#at = at
    this.#standsAt = () => session.position(stream)
    this.#beganAt = () => session.coverage(stream)?.vouchedFrom ?? 0
    const isOpen = session.coverage(stream)?.open === true
    this.#passed = this.#isBehind()
    this.#isSplit = isOpen && !this.#passed
  }

  /** Does the stream stand behind the cut? */
  #isBehind(): boolean {
    const position = this.#standsAt()
    return position !== undefined && !isUpTo(position, this.#at)
  }

  /** Is a row or a whole book left out? */
  drops(place: Standing): boolean {
    return !this.#passed && isUpTo(place, this.#at)
  }

  /** A row of evidence is left out. */
  dropped(received: number): void {
    this.#isSplit = true
    this.#droppedAt = received
  }

  /** A whole book is kept that lies behind the cut. */
  pass(): void {
    this.#passed = true
  }

  /** A row is kept; returns its `gap_before`. */
  keep(row: Kept, gapBefore: boolean): boolean {
    const isSplit = this.#isSplit && this.#first === undefined
    this.#first ??= row
    this.#kept++
    if (this.#passed) return gapBefore
    this.#passed = true
    const sinceMs = (row.timeMs ?? Number.POSITIVE_INFINITY) - this.#at.timeMs
    if (sinceMs <= NEXT_MS_MAX) this.#cutCameAt = row.received - sinceMs * 1000
    // it meets the cut: what was published before goes on here
    if (row.previousId <= this.#at.id && this.#at.id <= row.id) return false
    return gapBefore || isSplit
  }

  /** What is left of a row of coverage; undefined where nothing is. */
  coverage(row: CoverageRow): CoverageRow | undefined {
    const first = this.#first
    const isSplit = this.#isSplit
    if (row.state === 'suspect') {
      if (!isSplit) return row
      return (
        first && {
          ...row,
          previousId: max(row.previousId, first.previousId),
          from: Math.max(row.from, first.received),
        }
      )
    }
    const [kept, droppedAt, cutCameAt] = [this.#kept, this.#droppedAt, this.#cutCameAt]
    this.#first = undefined
    this.#kept = 0
    this.#droppedAt = 0
    this.#cutCameAt = undefined
    if (row.rows === 0) {
      if (!this.#isBehind() && !this.#passed) {
        this.#isSplit = row.endedBy === null
        return undefined
      }
      this.#isSplit = false
      return row
    }
    this.#isSplit = first === undefined && row.endedBy === null
    if (first === undefined) return undefined
    // ids join what was cut; where there are none, time must
    if (row.state === 'observed') {
      const seenFrom = isSplit ? this.#seenFrom(droppedAt || row.from) : row.from
      const from = Math.min(seenFrom, (cutCameAt ?? Number.POSITIVE_INFINITY) - OBSERVED_OVERLAP_US)
      return { ...row, from, firstId: first.id, rows: kept }
    }
    if (!isSplit) return row
    const from = first.received
    return { ...row, from, previousId: first.previousId, firstId: first.id, rows: kept }
  }

  /**
   * Two machines receive one frame at two times: the last one that was left out may have come later here than there.
   * So the interval, which was seen from its own beginning on, reaches back a little behind it. It reaches back behind
   * that beginning only where its first row is the next one after the cut, since between the two there was nothing.
   */
  #seenFrom(droppedAt: number): number {
    return Math.max(this.#beganAt(), droppedAt - OBSERVED_OVERLAP_US)
  }
}

/** A whole book that was left out: a reader of what is kept begins with it. */
interface Whole {
  readonly head: RowHead
  readonly eventTime: number
  readonly transactionTime: number
  readonly kind: DepthRowKind
  readonly gapBefore: boolean
}

/** Lets through what lies behind the cut. `begin` is called once the session stands at the window's beginning. */
export class CutSink implements RowSink {
  readonly #cut: Cut
  readonly #rows: RowSink
  readonly #streams = new Map<Stream, StreamCut>()
  /** The book after the last depth row that was left out. */
  readonly #book = new Book()
  #whole: Whole | undefined

  constructor(cut: Cut, rows: RowSink) {
    this.#cut = cut
    this.#rows = rows
  }

  begin(session: Session): void {
    for (const stream of session.config.streams) {
      const at = this.#cut[stream]
      if (at === undefined) continue
      this.#streams.set(stream, new StreamCut(at, session, stream))
    }
  }

  books(head: RowHead, event: DepthEvent, book: Book, gapBefore: boolean): void {
    const gap = this.#row('books', head, { ...idsOf(event), timeMs: event.transactionTime }, gapBefore)
    if (gap !== undefined) this.#rows.books(head, event, book, gap)
  }

  depth(head: RowHead, kind: DepthRowKind, row: DepthRow, book: Book, gapBefore: boolean): void {
    const cut = this.#streams.get('depth')
    if (cut === undefined) return this.#rows.depth(head, kind, row, book, gapBefore)
    // the time of a whole book may be later than that of its id
    const timeMs = kind === 'delta' ? row.transactionTime : undefined
    if (cut.drops({ id: row.finalId, timeMs })) {
      if (kind === 'delta') cut.dropped(head.received)
      return this.#keepWhole(head, kind, row, book, gapBefore)
    }
    if (kind !== 'delta') {
      cut.pass()
      this.#whole = undefined
      return this.#rows.depth(head, kind, row, book, gapBefore)
    }
    const before = gapBefore || this.#whole?.gapBefore === true
    const gap = cut.keep({ ...idsOf(row), received: head.received }, before)
    if (this.#whole === undefined) return this.#rows.depth(head, kind, row, book, gap)
    // a reader needs the whole book before the first change
    this.#writeWhole(this.#whole, gap)
    this.#whole = undefined
    this.#rows.depth(head, kind, row, book, false)
  }

  trade(head: RowHead, trade: Trade, gapBefore: boolean): void {
    const ids = { previousId: trade.id - 1n, id: trade.id, timeMs: trade.tradeTime }
    const gap = this.#row('trades', head, ids, gapBefore)
    if (gap !== undefined) this.#rows.trade(head, trade, gap)
  }

  markPrice(head: RowHead, mark: MarkPrice): void {
    const place = { previousId: 0n, id: 0n, timeMs: mark.eventTime }
    if (this.#row('mark_price', head, place, false) !== undefined) this.#rows.markPrice(head, mark)
  }

  coverage(head: RowHead, row: CoverageRow): void {
    const cut = this.#streams.get(row.ofStream)
    const left = cut === undefined ? row : cut.coverage(row)
    if (left !== undefined) this.#rows.coverage(head, left)
  }

  /** The row's `gap_before`, or undefined where it is left out. */
  #row(
    stream: Stream,
    { received }: RowHead,
    place: Position & { readonly previousId: bigint },
    gapBefore: boolean,
  ): boolean | undefined {
    const cut = this.#streams.get(stream)
    if (cut === undefined) return gapBefore
    if (!cut.drops(place)) return cut.keep({ ...place, received }, gapBefore)
    cut.dropped(received)
    return undefined
  }

  #keepWhole(
    head: RowHead,
    kind: DepthRowKind,
    { eventTime, transactionTime }: DepthRow,
    book: Book,
    gapBefore: boolean,
  ): void {
    this.#book.copyFrom(book)
    this.#whole = { head: { ...head }, eventTime, transactionTime, kind, gapBefore }
  }

  /** A snapshot that begins something new is what it was; else the book is ours, after what was left out. */
  #writeWhole({ head, kind, eventTime, transactionTime }: Whole, gapBefore: boolean): void {
    const { bids, asks, id } = this.#book
    const levels = { bids: new LevelBuffer(bids.size), asks: new LevelBuffer(asks.size) }
    this.#book.levels(levels.bids, levels.asks)
    const row = { previousId: 0n, firstId: 0n, finalId: id, eventTime, transactionTime, ...levels }
    const written = gapBefore && kind === 'snapshot' ? 'snapshot' : 'book'
    this.#rows.depth(head, written, row, this.#book, gapBefore)
  }
}

/** The later of two places in each stream. */
export function latest(a: Cut, b: Cut): Cut {
  const both: Partial<Record<Stream, Position>> = { ...a }
  for (const stream of STREAMS) {
    const [mine, other] = [a[stream], b[stream]]
    if (other !== undefined && (mine === undefined || !isUpTo(other, mine))) both[stream] = other
  }
  return both
}

/** Where a run stands after a window: its own last rows, or what was published before it. */
export function reachedAfter(session: Session, cut: Cut): Cut {
  const own: Partial<Record<Stream, Position>> = {}
  for (const stream of session.config.streams) {
    const last = session.lastPosition(stream)
    if (last !== undefined) own[stream] = last
  }
  return latest(cut, own)
}

function idsOf({ previousId, finalId }: { readonly previousId: bigint; readonly finalId: bigint }) {
  return { previousId, id: finalId }
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
