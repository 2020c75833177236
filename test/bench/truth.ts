/** The true book of some traffic, as REST answers: audits and joins of a measured session get what they would get. */
import { decode, ObviousBook } from './obvious.ts'
import type { Traffic } from './traffic.ts'

export class Truth {
  readonly #traffic: Traffic
  readonly #book = new ObviousBook()
  /** Events that are in the book. */
  #count = 0

  constructor(traffic: Traffic) {
    this.#traffic = traffic
    this.#book.load(traffic.snapshot)
  }

  /** The body of a snapshot taken after so many events. */
  after(count: number): Buffer {
    const { events, snapshot, snapshotLimit } = this.#traffic
    if (count < this.#count) {
      this.#book.load(snapshot)
      this.#count = 0
    }
    while (this.#count < count) {
      const { bids, asks } = decode(events[this.#count++].payload)
      this.#book.apply(bids, asks)
    }
    const { depth } = events[count - 1]
    const { bids, asks } = this.#book.top(snapshotLimit)
    const spelt = (levels: [number, number][]) => levels.map((level) => level.map(String))
    const body = { lastUpdateId: depth.u, E: depth.E, T: depth.T, bids: spelt(bids), asks: spelt(asks) }
    return Buffer.from(JSON.stringify(body))
  }
}
