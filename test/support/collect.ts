import type { EndedBy, HaltReason } from '../../api/reasons.ts'
import type { Book } from '../../capture/book/mod.ts'
import type { DepthEvent, MarkPrice, Trade } from '../../capture/exchange/mod.ts'
import type {
  CoverageRow,
  DepthRow,
  DepthRowKind,
  Effects,
  FetchRequest,
  RowHead,
  RowSink,
} from '../../capture/session/mod.ts'

/** A row as a test compares it: everything that is written, as plain values. */
export interface CollectedRow {
  readonly stream: 'books' | 'depth' | 'trades' | 'mark_price' | 'coverage'
  readonly seq: number
  readonly connection: number
  readonly received: number
  readonly values: Readonly<Record<string, unknown>>
}

const pairs = (data: Float64Array, length: number): number[] => [...data.subarray(0, length * 2)]

/** Keeps every row and request of a session. */
export class Collector implements Effects, RowSink {
  readonly rows = this
  readonly collected: CollectedRow[] = []
  readonly requests: FetchRequest[] = []
  readonly halts: { readonly reason: HaltReason; readonly message: string }[] = []
  /** Requests that nobody waits for any more. */
  readonly forgotten: number[] = []
  readonly reconnects: { readonly connection: number; readonly why: string }[] = []
  /** Routes of which a second connection was asked for. */
  readonly openedBeside: string[] = []
  readonly closes: { readonly connection: number; readonly why: string }[] = []
  readonly listingChecks: string[] = []
  readonly #levels: number

  constructor(levels = 5) {
    this.#levels = levels
  }

  of(stream: CollectedRow['stream']): CollectedRow[] {
    return this.collected.filter((row) => row.stream === stream)
  }

  /** Coverage as `stream:prev-first..last/rows by`. */
  coverageTexts(): string[] {
    return this.of('coverage').map(({ values: v }) => {
      const by = v['endedBy'] as EndedBy | null
      return `${v['ofStream']} ${v['state']} ${v['previousId']}:${v['firstId']}..${v['lastId']} rows ${v['rows']} ${by ?? 'open'}`
    })
  }

  fetch(request: FetchRequest): void {
    this.requests.push(request)
  }
  forget(request: number): void {
    this.forgotten.push(request)
  }
  reconnect(connection: number, why: string): void {
    this.reconnects.push({ connection, why })
  }
  openBeside(route: string): void {
    this.openedBeside.push(route)
  }
  closeOne(connection: number, why: string): void {
    this.closes.push({ connection, why })
  }
  checkListing(why: string): void {
    this.listingChecks.push(why)
  }
  halt(reason: HaltReason, message: string): void {
    this.halts.push({ reason, message })
  }

  #add(stream: CollectedRow['stream'], head: RowHead, values: Record<string, unknown>): void {
    this.collected.push({ stream, ...head, values })
  }

  books(head: RowHead, event: DepthEvent, book: Book, gapBefore: boolean): void {
    const levels: number[] = []
    for (let i = 0; i < this.#levels; i++) {
      levels.push(book.bids.price(i), book.bids.qty(i), book.asks.price(i), book.asks.qty(i))
    }
    this.#add('books', head, { id: event.finalId, previousId: event.previousId, gapBefore, levels })
  }

  depth(head: RowHead, kind: DepthRowKind, row: DepthRow, book: Book, gapBefore: boolean): void {
    this.#add('depth', head, {
      kind,
      id: row.finalId,
      previousId: row.previousId,
      gapBefore,
      bids: pairs(row.bids.data, row.bids.length),
      asks: pairs(row.asks.data, row.asks.length),
      reach: [book.bids.reach, book.asks.reach],
    })
  }

  trade(head: RowHead, trade: Trade, gapBefore: boolean): void {
    this.#add('trades', head, { ...trade, gapBefore })
  }

  markPrice(head: RowHead, mark: MarkPrice): void {
    this.#add('mark_price', head, { ...mark })
  }

  coverage(head: RowHead, row: CoverageRow): void {
    this.#add('coverage', head, { ...row })
  }
}
