/**
 * Eight minutes of recorded BTCUSDT traffic over midnight, captured in three runs by the product's own run and journal:
 *
 * - the first loses an event, then its connection, is lied to in an audit (what it vouched for since the audit before
 *   is withdrawn), and is killed,
 * - the second begins seconds later and is killed too,
 * - the third ends in order.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { exchangeByName } from '../../capture/exchange/mod.ts'
import { Run } from '../../capture/process/run.ts'
import type { FetchRequest, SessionConfig } from '../../capture/session/mod.ts'
import { formatTimeUs, openSpool, type Spool } from '../../capture/ship/mod.ts'
import { clockProbes, GUARDS, NO_REQUESTS, NO_ROWS } from '../support/session.ts'
import { type Moment, RecordedExchange } from './traffic.ts'

const SECOND_US = 1_000_000
const ROTATION_SECONDS = 60
const AUDIT_SECONDS = 40
/** A request is answered with the book of so much later. */
const ANSWER_AFTER_US = 700_000
/** After this one, seconds pass until a request is answered: a gap that is seen in a plot. */
const LONG_WAIT_US = 4 * SECOND_US

/** What happens, in seconds since the first event. */
export const EVENTS = {
  loseEvent: 70,
  loseConnections: 150,
  lie: 200,
  killFirst: 290,
  beginSecond: 300,
  killSecond: 410,
  beginThird: 416,
} as const

const CONFIG: SessionConfig = {
  exchange: 'BinanceUsdm',
  symbol: 'BTCUSDT',
  streams: ['books', 'depth', 'trades', 'mark_price'],
  bookLevels: 20,
  guards: { ...GUARDS, auditSeconds: AUDIT_SECONDS },
}

/** A run that is over: its windows wait in its spool. */
export interface StoryRun {
  readonly run: string
  readonly spool: Spool
  readonly windows: number
}

/** A run that goes on. */
interface Live {
  readonly run: Run
  readonly name: string
  readonly spool: Spool
  readonly asked: { readonly request: FetchRequest; readonly dueUs: number }[]
}

/** Plays the story below `dir` and returns its runs, first to last. */
export async function playStory(dir: string): Promise<StoryRun[]> {
  const story = new Story(dir)
  for await (const moment of story.exchange.moments()) await story.take(moment)
  await story.end()
  return story.over
}

class Story {
  readonly exchange = new RecordedExchange()
  readonly over: StoryRun[] = []
  readonly #dir: string
  readonly #happened = new Set<string>()
  #live: Live | undefined
  #startUs = 0
  #nowUs = 0
  #tickedUs = 0
  #connections = 0
  #answerAfterUs = ANSWER_AFTER_US

  constructor(dir: string) {
    this.#dir = dir
  }

  async take({ kind, atUs, payload }: Moment): Promise<void> {
    this.#nowUs = atUs
    if (this.#startUs === 0) {
      this.#startUs = atUs
      await this.#begin()
    }
    if (this.#is('killFirst') || this.#is('killSecond')) await this.#kill()
    if (this.#is('beginSecond') || this.#is('beginThird')) await this.#begin()
    const live = this.#live
    if (live === undefined) return
    this.#tick(live)
    if (this.#is('loseConnections')) this.#reconnect(live)
    this.#answer(live)
    if (kind === 'depth' && this.#is('loseEvent')) {
      this.#answerAfterUs = LONG_WAIT_US
      return
    }
    const connection = this.#connections - (kind === 'depth' ? 1 : 0)
    live.run.input({ kind: 'message', received: atUs, connection, payload })
  }

  async end(): Promise<void> {
    await this.#live?.run.end('stopped')
    this.#isOver()
  }

  async #kill(): Promise<void> {
    await this.#live?.run.abandon()
    this.#isOver()
  }

  #isOver(): void {
    assert.ok(this.#live !== undefined)
    const { run, name, spool } = this.#live
    this.over.push({ run: name, spool, windows: run.window + 1 })
    this.#live = undefined
  }

  async #begin(): Promise<void> {
    const clock = formatTimeUs(this.#nowUs).replaceAll(/[-:]/g, '')
    const name = `${clock.slice(0, 15)}${clock.slice(16, 19)}Z-badcafe${this.over.length}`
    const spool = await openSpool(join(this.#dir, 'spool', name))
    const asked: { request: FetchRequest; dueUs: number }[] = []
    const run = new Run({
      run: name,
      journalDir: spool.paths.journal,
      config: CONFIG,
      exchange: exchangeByName(CONFIG.exchange),
      writer: { capture: 'examples', uid: '', pod: '', node: '' },
      rotationSeconds: ROTATION_SECONDS,
      clock: { now: () => this.#nowUs, anchor: () => {}, wallDistance: () => 0 },
      requests: {
        ...NO_REQUESTS,
        // a request takes the numbers with it: what it is given is valid during the call only
        fetch: (request) => asked.push({ request: { ...request }, dueUs: this.#nowUs + this.#answerAfterUs }),
      },
      rows: NO_ROWS,
      onEnd: (reason) => assert.fail(reason),
      onHalt: (reason, message) => assert.fail(`${reason}: ${message}`),
      onWindow: () => {},
      onJournalError: (error) => assert.fail(error),
    })
    this.#live = { run, name, spool, asked }
    for (const probe of clockProbes(this.#nowUs)) run.input(probe)
    this.#connections = 0
    this.#open(this.#live)
  }

  #open({ run }: Live): void {
    for (const route of ['public', 'market'] as const)
      run.input({ kind: 'opened', received: this.#nowUs, connection: ++this.#connections, route })
  }

  #reconnect(live: Live): void {
    for (const connection of [this.#connections - 1, this.#connections]) {
      const end = { code: 1006, reason: 'cut', silent: false } as const
      live.run.input({ kind: 'closed', received: this.#nowUs, connection, ...end })
    }
    this.#open(live)
  }

  #tick({ run }: Live): void {
    if (this.#nowUs - this.#tickedUs < SECOND_US) return
    this.#tickedUs = this.#nowUs
    run.input({ kind: 'tick', received: this.#nowUs, wallDistance: 0, share: 1 })
  }

  /** Answers what is due with the exchange's book; once with another one. */
  #answer({ run, asked }: Live): void {
    const [first] = asked
    if (first === undefined || first.dueUs > this.#nowUs) return
    asked.shift()
    const { id, what, limit, rank } = first.request
    if (what !== 'snapshot') return
    this.#answerAfterUs = ANSWER_AFTER_US
    const snapshot = this.exchange.snapshot(limit)
    const body = rank === 'audit' && this.#is('lie') ? falsified(snapshot) : snapshot
    const answer = { request: id, status: 200, usedWeight: 20, retryAt: 0, error: '', body }
    run.input({ kind: 'response', received: this.#nowUs, ...answer })
  }

  /** True once: the first time it is asked after the event's time has come. */
  #is(name: keyof typeof EVENTS): boolean {
    if (this.#happened.has(name) || this.#nowUs < this.#startUs + EVENTS[name] * SECOND_US) return false
    this.#happened.add(name)
    return true
  }
}

/** The same book, but for one quantity near the top. */
function falsified(snapshot: Buffer): Buffer {
  const body = JSON.parse(snapshot.toString('utf8')) as { bids: [string, string][] }
  const level = body.bids[3]
  assert.ok(level !== undefined)
  level[1] = '1234.567'
  return Buffer.from(JSON.stringify(body))
}
