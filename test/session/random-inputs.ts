/**
 * Random but mostly legal histories of a session: what the exchange may do is drawn, and answers go to what the
 * session really asked for, so that every state and every guard is reached.
 */
import fc from 'fast-check'
import type { Input } from '../../capture/session/mod.ts'
import type { Level } from '../support/frames.ts'
import { ASKS, BIDS, Drive } from './harness.ts'

/** What may happen, the common things several times. */
const STEPS = [
  'event',
  'event',
  'event',
  'event',
  'second event',
  'second event',
  'second event',
  'answer',
  'answer',
  'answer',
  'answer ahead',
  'answer old',
  'answer other',
  'answer failed',
  'answer limited',
  'answer undecodable',
  'answer impossible',
  'sent',
  'refused',
  'open',
  'open',
  'open',
  'tick',
  'tick',
  'second passes',
  'second passes',
  'silence',
  'minute',
  'audit time',
  'day',
  'trade',
  'trade',
  'second trade',
  'jump of trades',
  'price',
  'price',
  'second price',
  'break',
  'far levels',
  'empty',
  'cross',
  'cut',
  'cut second',
  'cut market',
  'ping unanswered',
  'garbage',
  'market garbage',
  'overload',
  'off',
  'unlisted',
  'on',
  'on',
  'probe',
  'skewed probe',
] as const

export const steps = fc.array(
  fc.record({ what: fc.constantFrom(...STEPS), size: fc.integer({ min: 1, max: 4 }) }),
  { minLength: 1, maxLength: 150, size: 'max' },
)
export type Step = { readonly what: (typeof STEPS)[number]; readonly size: number }

/** Inputs of a history that the steps describe; the session that it was made with has taken them already. */
export function history(drawn: readonly Step[]): {
  readonly inputs: readonly Input[]
  readonly drive: Drive
} {
  const world = new World()
  for (const step of drawn) if (!world.drive.session.over) world.take(step)
  return { inputs: world.drive.inputs, drive: world.drive }
}

class World {
  readonly drive = new Drive(undefined, 5)
  #connections = 2
  /** Connections of the two routes; the second ones are 0 while there is none. */
  #book = [1, 0]
  #market = [2, 0]
  /** Ids that the two connections of the book have told, and those of trades. */
  #told = [100, 100]
  #trades = [0, 0]
  #marks = 0
  #answered = 0

  constructor() {
    this.drive.open(1).open(2, 'market')
  }

  take({ what, size }: Step): void {
    const { drive } = this
    const [first = 0, second = 0] = this.#book
    const [market = 0, beside = 0] = this.#market
    switch (what) {
      case 'event':
        return this.#event(0, size, [['98', '1']])
      case 'second event':
        return this.#event(1, size, [['98', '1']])
      case 'break':
        this.#told[0] = (this.#told[0] ?? 0) + 1
        return this.#event(0, size, [])
      case 'far levels':
        return this.#event(0, size, [[String(50 + size), '2']])
      case 'empty':
        return this.#event(0, size, [...BIDS.map(([price]) => [price, '0'] as const), ['98', '0']])
      case 'cross':
        if (size === 4) this.#event(0, size, [['120', '1']])
        return
      case 'answer':
        return this.#answer(size === 1 ? 0 : 1 - size)
      case 'answer ahead':
        return this.#answer(size)
      case 'answer old':
        return this.#answer(-40)
      case 'answer other':
        return this.#answer(0, [['100', String(size)]])
      case 'answer failed':
        return this.#answer(0, BIDS, 503)
      case 'answer limited':
        return this.#answer(0, BIDS, 429)
      case 'answer impossible':
        return this.#answer(0, size < 3 ? [['120', '1']] : [])
      case 'answer undecodable': {
        const request = this.#waiting()
        if (request !== undefined) drive.body(request.id, Buffer.from('{'))
        return
      }
      case 'sent': {
        const request = this.#waiting()
        if (request !== undefined) drive.sent(request.id, [0, 2, 3, 100, 1000][size] ?? 0)
        return
      }
      case 'refused': {
        const request = this.#waiting()
        this.#answered = request?.id ?? this.#answered
        if (request !== undefined) {
          const why = size === 1 ? 'rate_limited' : 'weight'
          drive.input({ kind: 'refused', request: request.id, why, until: drive.now + 2_000_000 })
        }
        return
      }
      case 'open':
        return this.#open()
      case 'tick':
        drive.share = 2 ** size
        drive.tick()
        return
      case 'second passes':
        drive.pass(size)
        return
      case 'silence':
        drive.leap(5)
        return
      case 'minute':
        drive.leap(61)
        return
      case 'audit time':
        drive.leap(601)
        return
      case 'day':
        drive.leap(23.6 * 3600)
        return
      case 'trade':
      case 'jump of trades':
        this.#trades[0] = (this.#trades[0] ?? 0) + (what === 'trade' ? 1 : size)
        if (market !== 0) drive.trade(this.#trades[0], { connection: market, later: this.#trades[0] })
        return
      case 'second trade':
        this.#trades[1] = (this.#trades[1] ?? 0) + 1
        if (beside !== 0) drive.trade(this.#trades[1], { connection: beside, later: this.#trades[1] })
        return
      case 'price':
        this.#marks += 1000
        if (market !== 0) drive.markPrice(this.#marks, market)
        return
      case 'second price':
        if (beside !== 0) drive.markPrice(this.#marks, beside)
        return
      case 'cut':
      case 'ping unanswered':
        if (first !== 0) drive.close(first, { silent: what === 'ping unanswered' })
        this.#book = [second, 0]
        this.#told = [this.#told[1] ?? 0, this.#told[1] ?? 0]
        return
      case 'cut second':
        if (second !== 0) drive.close(second)
        this.#book = [first, 0]
        return
      case 'cut market':
        if (market !== 0) drive.close(market)
        this.#market = [beside, 0]
        return
      case 'garbage':
        drive.input({ kind: 'message', connection: size === 1 ? second : first, payload: Buffer.from('{') })
        return
      case 'market garbage':
        drive.input({ kind: 'message', connection: market, payload: Buffer.from('{"e":"aggTrade","p":"x"}') })
        return
      case 'overload':
        drive.input({ kind: 'overload', stalledMs: 2000, what: size < 3 ? 'loop' : 'journal' })
        return
      case 'unlisted':
        drive.input({ kind: 'listing', status: 'absent', word: '' })
        return
      case 'off':
      case 'on':
        drive.input({
          kind: 'listing',
          status: what === 'on' ? 'trading' : 'not_trading',
          word: what === 'on' ? 'TRADING' : 'BREAK',
        })
        return
      case 'probe':
        drive.probe(size)
        return
      case 'skewed probe':
        drive.probe(1000)
        return
    }
  }

  #event(which: 0 | 1, size: number, b: readonly Level[]): void {
    const connection = this.#book[which] ?? 0
    const pu = this.#told[which] ?? 0
    this.#told[which] = pu + size
    if (connection !== 0) this.drive.event(pu, pu + size, connection, b)
  }

  /** The oldest request that has no answer yet, forgotten ones among them. */
  #waiting() {
    return this.drive.out.requests.find((request) => request.id > this.#answered)
  }

  /** Answers with the book as it always is, so many ids away from what was told. */
  #answer(away: number, bids: readonly Level[] = [...BIDS, ['98', '1']], status = 200): void {
    const request = this.#waiting()
    if (request === undefined) return
    this.#answered = request.id
    const { drive } = this
    const answer = { status, retryAt: status === 429 ? drive.now + 3_000_000 : 0 }
    if (request.what === 'last_trade') {
      const id = Math.max(0, (this.#trades[0] ?? 0) + away)
      const body = Buffer.from(`[{"a":${id},"T":${Math.floor(drive.now / 1000)}}]`)
      drive.body(request.id, body, answer)
    } else drive.answer(request.id, Math.max(1, (this.#told[0] ?? 0) + away), bids, ASKS, answer)
  }

  /** Opens what is closed, or what was asked for beside it. */
  #open(): void {
    const { drive } = this
    const [first = 0, second = 0] = this.#book
    const [market = 0, beside = 0] = this.#market
    if (first === 0) {
      this.#book = [++this.#connections, 0]
      drive.open(this.#connections)
    } else if (market === 0) {
      this.#market = [++this.#connections, 0]
      drive.open(this.#connections, 'market')
    } else if (drive.out.openedBeside.at(-1) === 'public' && second === 0) {
      this.#book = [first, ++this.#connections]
      this.#told[1] = (this.#told[0] ?? 0) - 3
      drive.open(this.#connections)
    } else if (drive.out.openedBeside.at(-1) === 'market' && beside === 0) {
      this.#market = [market, ++this.#connections]
      this.#trades[1] = Math.max(0, (this.#trades[0] ?? 0) - 1)
      drive.open(this.#connections, 'market')
    }
    this.#follow()
  }

  /** Connections that the session closed, because another one took over or nobody waited for them, are gone. */
  #follow(): void {
    for (const { connection } of this.drive.out.closes.splice(0)) {
      const [first = 0, second = 0] = this.#book
      const [market = 0, beside = 0] = this.#market
      if (connection === first) {
        this.#book = [second, 0]
        this.#told = [this.#told[1] ?? 0, this.#told[1] ?? 0]
      } else if (connection === second) this.#book = [first, 0]
      if (connection === market) this.#market = [beside, 0]
      else if (connection === beside) this.#market = [market, 0]
      if ([first, second, market, beside].includes(connection)) this.drive.close(connection)
    }
  }
}
