/**
 * What decoders produce: reusable scratch objects in the exchange-independent shape that the session takes.
 * Nothing here is allocated per message; whoever keeps an event copies it.
 */

/** One side of a change or a snapshot: interleaved price, quantity; `length` counts levels. */
export class LevelBuffer {
  data: Float64Array
  length = 0

  constructor(levelsInitial = 64) {
    this.data = new Float64Array(levelsInitial * 2)
  }

  clear(): void {
    this.length = 0
  }

  push(price: number, qty: number): void {
    const at = this.length * 2
    if (at === this.data.length) this.#grow()
    this.data[at] = price
    this.data[at + 1] = qty
    this.length++
  }

  /** A copy that holds exactly what is used. */
  copy(): LevelBuffer {
    const other = new LevelBuffer(0)
    other.data = this.data.slice(0, this.length * 2)
    other.length = this.length
    return other
  }

  #grow(): void {
    const wider = new Float64Array(Math.max(128, this.data.length * 2))
    wider.set(this.data)
    this.data = wider
  }
}

/** One change of the book: absolute quantities, zero deletes. Times are milliseconds since the epoch. */
export class DepthEvent {
  /** The id the change chains to; on exchanges that count by one, `finalId − 1`. */
  previousId = 0n
  firstId = 0n
  finalId = 0n
  eventTime = 0
  transactionTime = 0
  readonly bids: LevelBuffer
  readonly asks: LevelBuffer

  constructor(bids = new LevelBuffer(), asks = new LevelBuffer()) {
    this.bids = bids
    this.asks = asks
  }

  copy(): DepthEvent {
    const other = new DepthEvent(this.bids.copy(), this.asks.copy())
    other.previousId = this.previousId
    other.firstId = this.firstId
    other.finalId = this.finalId
    other.eventTime = this.eventTime
    other.transactionTime = this.transactionTime
    return other
  }
}

/** A full state of the book at one id. */
export class Snapshot {
  id = 0n
  eventTime = 0
  transactionTime = 0
  /** Levels asked for a side: a side that came back shorter has unlimited reach. */
  limit = 0
  readonly bids: LevelBuffer
  readonly asks: LevelBuffer

  constructor(bids = new LevelBuffer(1000), asks = new LevelBuffer(1000)) {
    this.bids = bids
    this.asks = asks
  }

  copy(): Snapshot {
    const other = new Snapshot(this.bids.copy(), this.asks.copy())
    other.id = this.id
    other.eventTime = this.eventTime
    other.transactionTime = this.transactionTime
    other.limit = this.limit
    return other
  }
}

/** One trade, as the exchange aggregates them. */
export class Trade {
  id = 0n
  firstTradeId = 0n
  lastTradeId = 0n
  eventTime = 0
  tradeTime = 0
  price = 0
  qty = 0
  /** Side of the taker. */
  side: 'buy' | 'sell' = 'buy'

  copy(): Trade {
    return Object.assign(new Trade(), this)
  }
}

export class MarkPrice {
  eventTime = 0
  markPrice = 0
  indexPrice = 0
  fundingRate = 0
  nextFundingTime = 0
}

/** What one message turned out to be. `none`: a legal message that is no data (an acknowledgement). */
export type MessageKind = 'depth' | 'snapshot' | 'trade' | 'mark_price' | 'none'

/** Scratch for one message: `kind` says which of the parts was filled. */
export class Message {
  kind: MessageKind = 'none'
  readonly depth = new DepthEvent()
  readonly snapshot = new Snapshot()
  readonly trade = new Trade()
  readonly markPrice = new MarkPrice()
  /** Fields that the decoder does not know, in this message: counted, never fatal. */
  unknownFields = 0
}
