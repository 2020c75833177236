/**
 * A stretch of recorded BTCUSDT traffic as the inputs of a run: depth and mark prices as they were received, trades
 * spelt as aggregate trades, one lost event, one lost connection, and the snapshots that heal them.
 */
import assert from 'node:assert/strict'
import { mkdir, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { exchangeByName } from '../../../capture/exchange/mod.ts'
import { Run } from '../../../capture/process/run.ts'
import { recordSegment } from '../../../capture/record/mod.ts'
import {
  type Effects,
  type FetchRequest,
  type Input,
  Session,
  type SessionConfig,
} from '../../../capture/session/mod.ts'
import { openSpool, windowName } from '../../../capture/ship/mod.ts'
import { readFrames } from '../../support/recordings.ts'
import { clockProbes, GUARDS, NO_REQUESTS, NO_ROWS } from '../../support/session.ts'

const RECORDING = 'binance-usdm/btcusdt-2023-04-04'
const SYMBOL = 'BTCUSDT'
const CONFIG: SessionConfig = {
  exchange: 'BinanceUsdm',
  symbol: SYMBOL,
  streams: ['books', 'depth', 'trades', 'mark_price'],
  bookLevels: 20,
  guards: GUARDS,
}
/** Depth events of the recording that are replayed: some 400 of them after midnight. */
const DEPTH_EVENTS = 4800
/** This one is lost: the chain breaks at the next. */
const LOST_EVENT = 900
/** After this one both connections are lost. */
const CUT_EVENT = 2000
/** Events that arrive between a request and its answer: the book waits, over rotations too. */
const ANSWER_AFTER_EVENTS = 40

type Without<T> = T extends unknown ? Omit<T, 'received'> : never

/** The unpruned book, in the exchange's own spelling, for the snapshots that the recording does not hold. */
export class RecordedBook {
  #sides = { b: new Map<string, string>(), a: new Map<string, string>() }
  #id = 0

  load(body: Buffer): void {
    const { lastUpdateId, bids, asks } = JSON.parse(body.toString('utf8'))
    this.#id = lastUpdateId
    this.#sides = { b: new Map(bids), a: new Map(asks) }
  }

  apply(payload: Buffer): void {
    const { data } = JSON.parse(payload.toString('utf8'))
    for (const name of ['b', 'a'] as const) {
      for (const [price, qty] of data[name]) {
        if (Number(qty) === 0) this.#sides[name].delete(price)
        else this.#sides[name].set(price, qty)
      }
    }
    this.#id = data.u
  }

  snapshot(limit: number): Buffer {
    const side = (levels: Map<string, string>, sign: number) =>
      [...levels].sort(([a], [b]) => (Number(a) - Number(b)) * sign).slice(0, limit)
    const { b, a } = this.#sides
    const body = {
      lastUpdateId: this.#id,
      E: 1_680_652_800_000,
      T: 1_680_652_799_999,
      bids: side(b, -1),
      asks: side(a, 1),
    }
    return Buffer.from(JSON.stringify(body))
  }
}

/** The inputs, in order. Joins are answered; audits are not. */
export async function recordedInputs(): Promise<Input[]> {
  const inputs: Input[] = []
  const book = new RecordedBook()
  let received = 0
  let [open, market] = [1, 2]
  let [depthEvents, trades, ticked] = [0, 0, 0]
  let requests = 0
  let answerAt: number | undefined
  let recorded: Buffer | undefined
  // a session beside tells which of its requests is the join that waits
  const session = new Session(CONFIG, exchangeByName(CONFIG.exchange))
  let join = { id: 0, limit: 0 }
  const fetch = ({ id, limit, rank }: FetchRequest) => {
    if (rank === 'join') join = { id, limit }
  }
  const halt = (reason: string, message: string) => assert.fail(`${reason}: ${message}`)
  const effects: Effects = { ...NO_REQUESTS, rows: NO_ROWS, fetch, halt }
  const take = (input: Input) => {
    inputs.push(input)
    session.step(input, effects)
  }
  const add = (input: Without<Input>) => take({ ...input, received } as Input)
  const connect = () => {
    add({ kind: 'opened', connection: open, route: 'public' })
    add({ kind: 'opened', connection: market, route: 'market' })
  }
  const answer = (body: Buffer) => {
    requests++
    add({ kind: 'response', request: join.id, status: 200, usedWeight: 20, retryAt: 0, error: '', body })
  }
  for await (const { receivedNs, via, payload } of readFrames(RECORDING)) {
    if (depthEvents === DEPTH_EVENTS) break
    const first = received === 0
    // receive time never runs backwards
    received = Math.max(received, Number(receivedNs / 1000n))
    if (first) {
      for (const probe of clockProbes(received)) take(probe)
      connect()
    }
    if (received - ticked >= 1_000_000) {
      add({ kind: 'tick', wallDistance: 0, share: 1 })
      ticked = received
    }
    const stream = payload.toString('latin1', 0, 40)
    if (via.startsWith('http')) {
      recorded = payload
      book.load(payload)
    } else if (stream.includes('@markPrice')) add({ kind: 'message', connection: market, payload })
    else if (stream.includes('@trade')) {
      const { data } = JSON.parse(payload.toString('utf8'))
      const aggregate = {
        ...data,
        e: 'aggTrade',
        a: ++trades,
        f: data.t,
        l: data.t,
        t: undefined,
        X: undefined,
      }
      add({ kind: 'message', connection: market, payload: Buffer.from(JSON.stringify(aggregate)) })
    } else if (stream.includes('@depth')) {
      const at = ++depthEvents
      book.apply(payload)
      if (at !== LOST_EVENT) add({ kind: 'message', connection: open, payload })
      if (at === 1 && recorded !== undefined) answer(recorded)
      if (at === CUT_EVENT) {
        for (const connection of [open, market])
          add({ kind: 'closed', connection, code: 1006, reason: 'cut', silent: false })
        ;[open, market] = [open + 2, market + 2]
        connect()
      }
      if (at === LOST_EVENT || at === CUT_EVENT) answerAt = at + ANSWER_AFTER_EVENTS
      if (at === answerAt) answer(book.snapshot(join.limit))
    }
  }
  assert.equal(requests, 3, 'one join at the start and one after each loss')
  return inputs
}

/** Captures the inputs with windows of `rotationSeconds`, and lays the files out below `dir`; returns the bucket's root. */
export async function captureInputs(
  inputs: readonly Input[],
  dir: string,
  rotationSeconds: number,
): Promise<string> {
  const spool = await openSpool(join(dir, 'spool'))
  const root = join(dir, 'data')
  await mkdir(root)
  const name = '20230404T235820000Z-0badcafe'
  let now = inputs[0]?.received ?? 0
  const run = new Run({
    run: name,
    journalDir: spool.paths.journal,
    config: CONFIG,
    exchange: exchangeByName(CONFIG.exchange),
    writer: { capture: '', uid: '', pod: '', node: '' },
    rotationSeconds,
    clock: { now: () => now, anchor: () => {}, wallDistance: () => 0 },
    requests: NO_REQUESTS,
    rows: NO_ROWS,
    onEnd: (reason) => assert.fail(reason),
    onHalt: (reason, message) => assert.fail(`${reason}: ${message}`),
    onWindow: () => {},
    onJournalError: (error) => assert.fail(error),
  })
  for (const input of inputs) {
    now = input.received
    run.input(input)
  }
  await run.end('stopped')
  for (let window = 0; window <= run.window; window++) {
    const id = windowName(name, window)
    const outDir = await spool.makeTmp(id)
    const outcome = await recordSegment({ segmentPath: spool.segmentPath(id), outDir, prefix: '' })
    if (outcome.outcome !== 'recorded') assert.fail(`${outcome.outcome}: ${outcome.detail}`)
    // how windows are committed is tested elsewhere: here the files only have to lie under their keys
    for (const { stream, key } of outcome.manifest.objects) {
      await mkdir(dirname(join(root, key)), { recursive: true })
      await rename(join(outDir, `${stream}.parquet`), join(root, key))
    }
  }
  return root
}
