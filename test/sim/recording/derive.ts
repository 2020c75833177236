/** Streams that a recording lacks, made from those it has. Pure. */
import { markPriceUpdate } from '../market/wire.ts'
import { streamOf } from '../streams.ts'
import { eventTime } from './fields.ts'
import type { SymbolRecording, WireFrame } from './file.ts'

const SECOND_US = 1_000_000
/** Digits after the point of a mark price. */
const MARK_DECIMALS = 8

/** A mark price that is due; its price is taken when it goes out. */
export interface DueMark {
  readonly kind: 'mark'
  readonly atUs: number
  /** The whole second of the exchange's clock that it is for, milliseconds since the epoch. */
  readonly eventTime: number
  /** The bookTicker in force; undefined where the book itself is asked. */
  readonly ticker: WireFrame | undefined
}

export interface Derivable {
  /** The stream's name if aggregate trades can and must be made from single trades. */
  readonly aggTrade: string | undefined
  readonly markPrice: string | undefined
}

/** What this recording lacks and can be made of it. */
export function derivable(recording: SymbolRecording): Derivable {
  const streams = [...recording.streams.values()]
  const has = (channel: string) => streams.some((stream) => stream.channel === channel)
  const trades = !has('aggTrade') && streams.some((stream) => stream.single)
  const marks = !has('markPrice') && (has('bookTicker') || has('depth'))
  return {
    aggTrade: trades ? streamOf(recording.symbol, 'aggTrade') : undefined,
    markPrice: marks ? streamOf(recording.symbol, 'markPrice@1s') : undefined,
  }
}

/**
 * One aggregate trade from one recorded single trade: its id is the aggregate's and both ends of its range.
 * Trades of the insurance fund stay in (the exchange leaves them out): without them ids would have holes.
 */
export function aggTradeFrom(bare: Buffer): { readonly id: bigint; readonly payload: string } {
  const trade = JSON.parse(bare.toString('utf8')) as Record<string, unknown>
  const { E, s, t, p, q, T, m } = trade
  const payload = JSON.stringify({ e: 'aggTrade', E, a: t, s, p, q, f: t, l: t, T, m })
  return { id: BigInt(Number(t)), payload }
}

/** A mark price at each whole second of the exchange's clock, evenly spaced in receive time. */
export function dueMarks(recording: SymbolRecording): DueMark[] {
  const marks: DueMark[] = []
  let ticker: WireFrame | undefined
  let nextUs = Number.NaN
  let offsetUs = 0
  const tickers = [...recording.streams.values()].some((stream) => stream.channel === 'bookTicker')
  for (const frame of recording.frames) {
    if (frame.kind !== 'wire') continue
    if (Number.isNaN(nextUs)) {
      // Recorders' clocks differ from the exchange's by up to 1.5 s: the first frame tells by how much.
      offsetUs = (eventTime(frame.bare) ?? frame.atUs / 1000) * 1000 - frame.atUs
      nextUs = Math.ceil((frame.atUs + offsetUs) / SECOND_US) * SECOND_US - offsetUs
    }
    for (; nextUs <= frame.atUs; nextUs += SECOND_US) {
      if (tickers && ticker === undefined) continue
      marks.push({ kind: 'mark', atUs: nextUs, eventTime: Math.round((nextUs + offsetUs) / 1000), ticker })
    }
    if (frame.stream.channel === 'bookTicker') ticker = frame
  }
  return marks
}

/** A mark's payload from the best prices, which are its basis. */
export function markFrom(symbol: string, bid: string, ask: string, time: number): string {
  return markPriceUpdate(symbol, midOf(bid, ask), time)
}

/** Best bid and ask prices that a bookTicker states. */
export function tickerPrices(bare: Buffer): { readonly bid: string; readonly ask: string } {
  const { b, a } = JSON.parse(bare.toString('utf8')) as { b: string; a: string }
  return { bid: b, ask: a }
}

/** The mid of two decimals with eight digits, exact but for what lies below the eighth. */
export function midOf(bid: string, ask: string): string {
  const doubled = scaled(bid) + scaled(ask)
  const digits = (doubled / 2n).toString().padStart(MARK_DECIMALS + 1, '0')
  return `${digits.slice(0, -MARK_DECIMALS)}.${digits.slice(-MARK_DECIMALS)}`
}

function scaled(decimal: string): bigint {
  const [whole = '0', fraction = ''] = decimal.split('.')
  return BigInt(whole + fraction.slice(0, MARK_DECIMALS).padEnd(MARK_DECIMALS, '0'))
}
