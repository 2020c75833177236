import type { Decoder, Encoder } from '../book/mod.ts'
import type { DepthEvent } from '../exchange/mod.ts'
import { decodeEvent, encodeEvent } from './encoding.ts'

/** What a buffer may hold: events wait here for a snapshot, seconds normally. */
const AGE_MAX_US = 60_000_000
const BYTES_MAX = 16 * 1024 * 1024

/** An event that waits, with its receive time in microseconds. */
export interface Waiting {
  readonly event: DepthEvent
  readonly received: number
}

/**
 * Events that wait for a snapshot. They are of one connection and chain among themselves: an event that does not
 * follow drops all before it. When full the oldest go.
 */
export class EventBuffer {
  #events: Waiting[] = []
  #bytes = 0

  get length(): number {
    return this.#events.length
  }

  get first(): Waiting | undefined {
    return this.#events[0]
  }

  /**
   * Takes a copy of the event. `follows` tells whether it chains to the last one. Returns how many events were
   * dropped for it, because they do not chain to it or for want of room.
   */
  push(event: DepthEvent, received: number, follows: (event: DepthEvent, lastId: bigint) => boolean): number {
    let dropped = 0
    const last = this.#events.at(-1)
    if (last !== undefined && !follows(event, last.event.finalId)) {
      dropped = this.#events.length
      this.clear()
    }
    const copy = event.copy()
    this.#events.push({ event: copy, received })
    this.#bytes += bytesOf(copy)
    let stale = 0
    let bytes = this.#bytes
    while (
      stale < this.#events.length - 1 &&
      (bytes > BYTES_MAX || received - this.#events[stale].received > AGE_MAX_US)
    ) {
      bytes -= bytesOf(this.#events[stale].event)
      stale++
    }
    if (stale > 0) {
      dropped += stale
      this.#events.splice(0, stale)
      this.#bytes = bytes
    }
    return dropped
  }

  /** Index of the first event that does not end below the id; `length` if there is none. */
  firstNotBelow(id: bigint): number {
    const index = this.#events.findIndex((waiting) => waiting.event.finalId >= id)
    return index < 0 ? this.#events.length : index
  }

  at(index: number): Waiting {
    return this.#events[index]
  }

  all(): readonly Waiting[] {
    return this.#events
  }

  /** Hands over all events and leaves the buffer empty. */
  take(): Waiting[] {
    const events = this.#events
    this.clear()
    return events
  }

  clear(): void {
    this.#events = []
    this.#bytes = 0
  }

  encode(out: Encoder): void {
    out.count(this.#events.length)
    for (const { event, received } of this.#events) {
      out.integer(received)
      encodeEvent(event, out)
    }
  }

  decode(from: Decoder): void {
    this.clear()
    const count = from.count()
    for (let i = 0; i < count; i++) {
      const received = from.integer()
      const event = decodeEvent(from)
      this.#events.push({ event, received })
      this.#bytes += bytesOf(event)
    }
  }
}

function bytesOf(event: DepthEvent): number {
  return 128 + (event.bids.length + event.asks.length) * 16
}
