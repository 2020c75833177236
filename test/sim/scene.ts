/** What a case of a fault has at hand: an exchange that flows, and one client a route. */
import assert from 'node:assert/strict'
import type { Rig, RigClient } from './rig.ts'

export const SYMBOL = 'XRPUSDT'
export const DEPTH = `/fapi/v1/depth?symbol=${SYMBOL}&limit=100`
export const PUBLIC = `/public/ws/${SYMBOL.toLowerCase()}@depth@100ms`
export const MARKET = `/market/stream?streams=${SYMBOL.toLowerCase()}@aggTrade/${SYMBOL.toLowerCase()}@markPrice@1s`

type Level = [string, string]
export interface Event {
  U: number
  u: number
  pu: number
  b: Level[]
  a: Level[]
}
export interface Snapshot {
  lastUpdateId: number
  bids: Level[]
  asks: Level[]
}

export class Scene {
  readonly rig: Rig
  readonly depth: RigClient
  readonly market: RigClient

  constructor(rig: Rig, depth: RigClient, market: RigClient) {
    this.rig = rig
    this.depth = depth
    this.market = market
  }

  events(): Event[] {
    return this.depth.frames.flatMap((frame) => {
      const event = parsed(frame) as Event | undefined
      return typeof event?.u === 'number' ? [event] : []
    })
  }

  breaks(): number {
    const events = this.events()
    return events.filter((event, at) => at > 0 && event.pu !== events[at - 1]?.u).length
  }

  trades(): number[] {
    return this.market.frames.flatMap((frame) => {
      const { data } = parsed(frame) as { data: { e: string; a: number } }
      return data.e === 'aggTrade' ? [data.a] : []
    })
  }

  /** The event that a fault altered, with the level about which it lies. */
  async lie(kind: string) {
    const lie = () => this.rig.emitted(SYMBOL).lies[0]
    await this.until('a lie', () => this.events().some(({ u }) => BigInt(u) === lie()?.id))
    assert.equal(lie()?.kind, kind)
    const event = this.events().find(({ u }) => BigInt(u) === lie()?.id)
    const [side, price] = lie()?.levels[0] ?? []
    assert.ok(event !== undefined && side !== undefined)
    const told = (side === 'bid' ? event.b : event.a).find((level) => level[0] === price)?.[1]
    const book = this.rig.bookAt(SYMBOL, BigInt(event.u))
    const truth = (side === 'bid' ? book.bids : book.asks).find((level) => level[0] === price)?.[1]
    return { event, side, price, told, truth }
  }

  async snapshot(): Promise<Snapshot> {
    const seen = await this.rig.get(DEPTH)
    assert.equal(seen.status, 200)
    return JSON.parse(seen.text) as Snapshot
  }

  until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    return this.rig.until(what, condition)
  }

  /** Waits until so many more depth events came. */
  async flows(more: number): Promise<void> {
    const count = this.depth.frames.length
    await this.until('depth flows', () => this.depth.frames.length >= count + more)
  }

  async status(): Promise<string | undefined> {
    const { text } = await this.rig.get('/fapi/v1/exchangeInfo')
    const { symbols } = JSON.parse(text) as { symbols: { symbol: string; status: string }[] }
    return symbols.find((listed) => listed.symbol === SYMBOL)?.status
  }
}

export function parsed(frame: string): unknown {
  try {
    return JSON.parse(frame)
  } catch {
    return undefined // what is no JSON is what the case looks for
  }
}
