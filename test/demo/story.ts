/** Tells what happens as it happens: the exchange's faults beside what the capture did about them. */
import type { RunEvent } from '../../capture/cli/events.ts'
import { rowsText } from '../../capture/cli/text.ts'
import type { ExchangeEvent } from './exchange.ts'

/** What a fault is, in words, and by which reason it must show in coverage. */
const FAULTS: Readonly<
  Record<string, { readonly text: (symbol: string) => string; readonly reason: string }>
> = {
  drop: { text: (symbol) => `loses one change of the ${symbol} book on the way`, reason: 'sequence' },
  cut: { text: (symbol) => `cuts a connection of ${symbol}`, reason: 'reconnect' },
}
const REASONS: Readonly<Record<string, string>> = {
  sequence: 'the next change does not follow the last one',
  reconnect: 'a new connection never resumes an old book',
}

/** The events of `l2cap run` that are told; its stream of status is not. */
export type Told = Extract<
  RunEvent,
  { event: 'live' | 'gap' | 'committed' | 'ended' | 'shipping' | 'stopping' }
>

export interface Fault {
  readonly kind: string
  readonly symbol: string
  readonly atMs: number
}

export class Story {
  readonly faults: Fault[] = []
  readonly #startMs = Date.now()
  /** Gaps that are not closed yet, and what caused them where we know. */
  readonly #open = new Map<string, Fault | undefined>()

  say(who: string, text: string): void {
    const seconds = ((Date.now() - this.#startMs) / 1000).toFixed(1).padStart(5)
    process.stdout.write(`${seconds} s  ${who.padEnd(9)} ${text}\n`)
  }

  onExchange(event: ExchangeEvent): void {
    if (event.event === 'end') return this.say('exchange', `${event.symbol} ends at id ${event.lastUpdateId}`)
    const { kind, symbol } = event
    this.faults.push({ kind, symbol, atMs: Date.now() })
    this.say('exchange', `FAULT: ${FAULTS[kind]?.text(symbol) ?? `${kind} of ${symbol}`}`)
  }

  onCapture(event: Told): void {
    switch (event.event) {
      case 'live':
        return this.#live(event.symbol, event.since)
      case 'gap': {
        const cause = this.faults.findLast(
          ({ kind, symbol }) => symbol === event.symbol && reasonOf(kind) === event.reason,
        )
        this.#open.set(event.symbol, cause)
        const why = REASONS[event.reason]
        return this.say(
          event.symbol,
          `gap "${event.reason}"${why === undefined ? '' : `: ${why}`}; the book is thrown away`,
        )
      }
      case 'committed':
        return this.say(
          event.symbol,
          `window ${Number(event.window.slice(-6))} committed: ${rowsText(event.rows)}`,
        )
      case 'shipping':
        return this.say(event.symbol, event.reason === null ? 'ships again' : `cannot ship: ${event.reason}`)
      case 'ended':
        return this.say(
          event.symbol,
          event.next === 'ended' ? event.message : `${event.reason}: ${event.message}`,
        )
      case 'stopping':
        return this.say('l2cap', 'stopping: closes the last windows and ships them')
    }
  }

  #live(symbol: string, since: string): void {
    if (!this.#open.has(symbol)) {
      return this.say(symbol, 'live: a snapshot met the stream of changes, the book is proven from here on')
    }
    const cause = this.#open.get(symbol)
    this.#open.delete(symbol)
    const after =
      cause === undefined
        ? ''
        : `, ${Math.max(0, Math.round(Date.parse(since) - cause.atMs))} ms after the fault`
    this.say(symbol, `live again with a fresh snapshot${after}`)
  }
}

/** The reason by which a fault shows in coverage; empty for a kind that is not known here. */
export function reasonOf(kind: string): string {
  return FAULTS[kind]?.reason ?? ''
}
