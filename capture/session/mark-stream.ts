import type { EndedBy } from '../../api/reasons.ts'
import type { Decoder, Encoder } from '../book/mod.ts'
import type { MarkPrice } from '../exchange/mod.ts'
import type { Effects, RowHead } from './effects.ts'
import type { Coverage } from './ledger.ts'
import type { Position } from './position.ts'
import type { Shared } from './shared.ts'

/** A stream of prices that comes each second and has no chain: a frame is the only evidence. */
const SILENT_US = 5_000_000
const SILENT_US_MAX = 60_000_000
/** So many in a row that are earlier than the last row: the exchange's clock was set back. */
const EARLIER_MAX = 60

/** Mark prices: one frame a second, whichever connection brings it first. */
export class MarkStream {
  readonly coverage: Coverage
  readonly #shared: Shared
  /** Event time of the last row, ms; of frames on two connections the first one counts. */
  #lastTime = 0
  /** Prices in a row that were earlier. */
  #earlier = 0
  #waitUs = SILENT_US
  /** Receive time at which silence is no accident any more, microseconds. */
  #dueAt = Number.MAX_SAFE_INTEGER
  readonly #head: RowHead = { seq: 0, connection: 0, received: 0 }

  constructor(shared: Shared, coverage: Coverage) {
    this.#shared = shared
    this.coverage = coverage
  }

  /** The last price that was published; undefined before the first. */
  get lastPosition(): Position | undefined {
    return this.#lastTime === 0 ? undefined : { id: 0n, timeMs: this.#lastTime }
  }

  /** A connection opened, or trading began again: prices are to come. */
  opened(received: number): void {
    this.#dueAt = received + this.#waitUs
  }

  take(mark: MarkPrice, connection: number, received: number, effects: Effects): void {
    this.heard(received)
    if (mark.eventTime <= this.#lastTime) {
      if (mark.eventTime < this.#lastTime) this.#earlier++
      if (this.#earlier < EARLIER_MAX) return this.#shared.counters.add('mark_prices_repeated')
      // those before this one were new as well, and are lost
      this.end('no_data', `prices of ${mark.eventTime} follow those of ${this.#lastTime}`, effects)
    }
    this.#earlier = 0
    this.#lastTime = mark.eventTime
    this.#shared.counters.add('mark_prices')
    if (!this.coverage.open) this.coverage.start(0n, received, connection)
    this.#head.seq = this.#shared.seq.next()
    this.#head.connection = connection
    this.#head.received = received
    effects.rows.markPrice(this.#head, mark)
    this.coverage.row(0n, received)
  }

  /** A frame came, whatever it says: the stream is not silent. It is no evidence, and coverage stays where it is. */
  heard(received: number): void {
    this.#waitUs = SILENT_US
    this.#dueAt = received + SILENT_US
  }

  /** Is the stream silent for too long? True once; a new connection gets twice the time. */
  isSilent(received: number): boolean {
    if (received < this.#dueAt) return false
    this.#waitUs = Math.min(SILENT_US_MAX, this.#waitUs * 2)
    this.#dueAt = received + this.#waitUs
    return true
  }

  /** The receive clock leapt by so much: what it left out is no silence. */
  leap(leapUs: number, received: number): void {
    if (this.#dueAt === Number.MAX_SAFE_INTEGER) return
    this.#dueAt = Math.min(this.#dueAt + leapUs, received + this.#waitUs)
  }

  end(by: EndedBy, detail: string, effects: Effects): void {
    const { seq, window } = this.#shared
    this.coverage.end(by, detail, window, seq, effects.rows)
  }

  rest(): void {
    this.#dueAt = Number.MAX_SAFE_INTEGER
  }

  encode(out: Encoder): void {
    out.integer(this.#lastTime)
    out.count(this.#earlier)
    out.integer(this.#waitUs)
    out.integer(this.#dueAt)
  }

  decode(from: Decoder): void {
    this.#lastTime = from.integer()
    this.#earlier = from.count()
    this.#waitUs = from.integer()
    this.#dueAt = from.integer()
  }
}
