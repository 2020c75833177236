/** Faults of depth events: lost, repeated, out of order, or saying what is not so. */
import type { DepthEvent, LieLevel, WireLevel } from '../source.ts'
import type { Altered, FaultKind } from './kind.ts'

/** Above what a client takes as one message. */
const OVERSIZED_BYTES = 9 * 1024 * 1024
/** `drop_below` takes events that leave the best levels alone. */
const BEST_LEVELS = 5
/** A flipped level lies in here, so that it shows in rows and inside every snapshot's reach. */
const FLIP_RANKS = { from: 2, to: 40 }

interface Payload {
  readonly U: number
  readonly u: number
  readonly pu: number
  readonly b: readonly WireLevel[]
  readonly a: readonly WireLevel[]
}

export const DEPTH_KINDS = {
  drop: {
    about: 'one depth event is not sent; the market goes on',
    at: 'depth',
    alter: () => ({ payloads: [], sent: false }),
  },
  drop_below: {
    about: `one depth event is not sent that touches no level of the best ${BEST_LEVELS} of a side`,
    at: 'depth',
    alter(event) {
      const { bids, asks } = event.book(BEST_LEVELS)
      const { b, a } = read(event)
      const [bid, ask] = [Number(bids.at(-1)?.[0] ?? 0), Number(asks.at(-1)?.[0] ?? Infinity)]
      const below = b.every(([price]) => Number(price) < bid) && a.every(([price]) => Number(price) > ask)
      return below ? { payloads: [], sent: false } : undefined
    },
  },
  duplicate: {
    about: 'one depth event is sent twice',
    at: 'depth',
    alter: (event) => ({ payloads: [event.payload(), event.payload()], sent: true }),
  },
  reorder: {
    about: 'two depth events of a connection are sent in the wrong order',
    at: 'depth',
    alter: () => ({ payloads: [], sent: true, swap: true }),
  },
  wrong_pu: {
    about: 'one depth event names a wrong id as the one before it',
    at: 'depth',
    alter: (event) => ({ payloads: [write({ ...read(event), pu: read(event).pu - 1 })], sent: true }),
  },
  crossed: {
    about: 'one depth event holds a bid at the best ask, which is a lie',
    at: 'depth',
    alter(event) {
      const payload = read(event)
      const [ask] = event.book(1).asks
      if (ask === undefined) return undefined
      const b = [...payload.b.filter(([price]) => price !== ask[0]), ask]
      // The ask stays: the event must not remove or change it meanwhile.
      const a = [ask, ...payload.a.filter(([price]) => price !== ask[0])]
      return { payloads: [write({ ...payload, b, a: ascending(a) })], sent: true, lie: [['bid', ask[0]]] }
    },
  },
  flip_level: {
    about: 'one depth event holds one wrong quantity: a silent lie, found by an audit alone',
    at: 'depth',
    alter: (event) => falsified(event, (qty) => scaled(qty, 7)),
  },
  garbage: {
    about: 'something unreadable comes in place of one depth event: no JSON, or JSON of another shape',
    at: 'depth',
    alter(event, random) {
      const payload = event.payload()
      const odd = [
        payload.slice(0, payload.length >> 1),
        '{"e":"depthUpdate","u":"soon","b":{}}',
        '[]',
        payload.replace('"b":[', '"b":[["?","1"],'),
        '<html>Bad Gateway</html>',
      ]
      return { payloads: [odd[random.below(odd.length)] ?? ''], sent: false }
    },
  },
  oversized: {
    about: `one depth event comes with ${OVERSIZED_BYTES / 1024 / 1024} MiB of padding`,
    at: 'depth',
    alter: (event) => ({
      payloads: [`${event.payload().slice(0, -1)},"padding":"${'x'.repeat(OVERSIZED_BYTES)}"}`],
      sent: false,
    }),
  },
  digits16: {
    about: 'one depth event holds a quantity of 17 significant digits',
    at: 'depth',
    alter: (event) => falsified(event, () => '1234567.8901234567'),
  },
  unknown_field: {
    about: 'one depth event holds fields that nobody knows; harmless',
    at: 'depth',
    alter: (event) => ({
      payloads: [`${event.payload().slice(0, -1)},"st":2,"future":{"is":["odd",null]}}`],
      sent: true,
    }),
  },
} as const satisfies Record<string, FaultKind>

/** The event with another quantity for one level that stands, has a rank in the book, and is no removal. */
function falsified(event: DepthEvent, other: (qty: string) => string): Altered | undefined {
  const payload = read(event)
  const book = event.book(FLIP_RANKS.to)
  const levels = { b: book.bids, a: book.asks }
  for (const side of ['b', 'a'] as const) {
    // A thin book has no deeper levels to choose from.
    const from = Math.min(FLIP_RANKS.from, levels[side].length - 1)
    const at = payload[side].findIndex(([price, qty]) => {
      return Number(qty) > 0 && levels[side].findIndex((level) => level[0] === price) >= from
    })
    const level = payload[side][at]
    if (level === undefined) continue
    const altered: WireLevel = [level[0], other(level[1])]
    const lie: LieLevel = [side === 'b' ? 'bid' : 'ask', level[0]]
    return {
      payloads: [write({ ...payload, [side]: payload[side].with(at, altered) })],
      sent: true,
      lie: [lie],
    }
  }
  return undefined
}

/** A decimal string times a small whole number, exactly, with as many digits after the point. */
function scaled(decimal: string, times: number): string {
  const digits = decimal.split('.')[1]?.length ?? 0
  const product = (BigInt(decimal.replace('.', '')) * BigInt(times)).toString().padStart(digits + 1, '0')
  return digits === 0 ? product : `${product.slice(0, -digits)}.${product.slice(-digits)}`
}

function ascending(levels: readonly WireLevel[]): WireLevel[] {
  return [...levels].sort((one, other) => Number(one[0]) - Number(other[0]))
}

/** Ids of the exchange are far below 2^53: reading and writing them as numbers keeps them whole. */
function read(event: DepthEvent): Payload {
  return JSON.parse(event.payload()) as Payload
}

function write(payload: Payload): string {
  return JSON.stringify(payload)
}
