/** One exchange and its clients for tests, the same over real sockets and by the core with a clock moved by hand. */
import assert from 'node:assert/strict'
import { WebSocket } from 'ws'
import { VIRTUAL_STEP_MS } from './client.ts'
import { type Handshake, ManualTime, type SimAnswer, type SimConnection, SimExchange } from './core/mod.ts'
import { type FaultKindName, type MarketSimOptions, startSim } from './mod.ts'
import type { Emitted, TrueBook } from './source.ts'

/** Once the exchange has heard a request, so long without an answer is taken for hanging. */
const HANG_MS = 500
/** Far above what anything here takes on a busy machine: what it does answer is waited for. */
const ANSWER_MS_MAX = 300_000
const REAL_STEP_MS = 2
/** Far above what anything here takes on a busy machine. */
const REAL_LIMIT_MS = 180_000
const VIRTUAL_LIMIT_MS = 120_000
export const VIRTUAL_START_MS = Date.UTC(2026, 10, 22, 12)

export interface Seen {
  /** 0 where not even a head came. */
  readonly status: number
  readonly retryAfter: string | null
  readonly text: string
  readonly end: SimAnswer['end']
}

export interface RigClient {
  readonly frames: readonly string[]
  readonly pongs: number
  /** Close code, once closed. */
  readonly code: number | undefined
  ping(): void
  say(text: string): void
}

export interface Rig {
  readonly fired: Readonly<Record<FaultKindName, number>>
  readonly violations: Readonly<Record<string, number>>
  nowMs(): number
  inject(faults: string): void
  emitted(symbol: string): Emitted
  bookAt(symbol: string, id: bigint): TrueBook
  /**
   * A connection, or how it failed: an HTTP status, `reset`, `hang`. Where it may hang, `isHeard` tells whether the
   * exchange has it.
   */
  open(path: string, isHeard?: () => boolean): Promise<RigClient | number | 'reset' | 'hang'>
  get(path: string, isHeard?: () => boolean): Promise<Seen>
  until(what: string, condition: () => boolean | Promise<boolean>): Promise<void>
  stop(): Promise<void>
}

export type RigMaker = (options: MarketSimOptions) => Promise<Rig>

/** By the core alone; each `until` moves the clock on. */
export const virtualRig: RigMaker = async (options) => {
  const time = new ManualTime(VIRTUAL_START_MS)
  const exchange = new SimExchange({ ...options, time })
  return {
    fired: exchange.fired,
    violations: { ...exchange.violations },
    nowMs: () => time.nowMs(),
    inject: (faults) => exchange.inject(faults),
    emitted: (symbol) => exchange.emitted(symbol),
    bookAt: (symbol, id) => exchange.bookAt(symbol, id),
    async open(path) {
      const client = new VirtualClient()
      const handshake = exchange.connect(path, 'rig', client)
      if (handshake.kind !== 'accepted') return failed(handshake)
      client.connection = handshake.connection
      return client
    },
    async get(path) {
      const answer = await exchange.get(path, 'rig')
      const text = Buffer.concat(answer.pieces.map((piece) => piece.bytes)).toString('utf8')
      const status = answer.afterMs === Number.POSITIVE_INFINITY ? 0 : answer.status
      return { status, retryAfter: answer.headers['retry-after'] ?? null, text, end: answer.end }
    },
    async until(what, condition) {
      const deadline = time.nowMs() + VIRTUAL_LIMIT_MS
      while (!(await condition())) {
        assert.ok(time.nowMs() < deadline, `not within ${VIRTUAL_LIMIT_MS} ms: ${what}`)
        time.advance(VIRTUAL_STEP_MS)
      }
    },
    async stop() {
      exchange.stop()
    },
  }
}

function failed(handshake: Exclude<Handshake, { kind: 'accepted' }>): number | 'reset' | 'hang' {
  return handshake.kind === 'refused' ? handshake.status : handshake.kind
}

export class VirtualClient implements RigClient {
  readonly frames: string[] = []
  readonly bufferedBytes = 0
  pings = 0
  pongs = 0
  code: number | undefined
  connection: SimConnection | undefined

  send(payload: string | Uint8Array): void {
    assert.ok(this.connection !== undefined, 'called while the handshake was under way')
    assert.equal(this.code, undefined, 'called after its end')
    this.frames.push(typeof payload === 'string' ? payload : Buffer.from(payload).toString('utf8'))
  }

  /** Of the core: a ping frame. Of a test: the same call asks the core for a pong. */
  ping(): void {
    this.pings++
    if (this.connection?.ping() === true) this.pongs++
  }

  say(text: string): void {
    this.connection?.text(text)
  }

  close(code: number): void {
    this.code = code
    this.connection?.closed()
  }

  terminate(): void {
    this.close(1006)
  }
}

/** Over a real server, whose time each `until` moves on: it stands still while this process does. */
export const realRig: RigMaker = async (options) => {
  const time = new ManualTime(VIRTUAL_START_MS)
  const sim = await startSim({ ...options, time })
  return {
    fired: sim.fired,
    violations: { ...sim.violations },
    nowMs: () => time.nowMs(),
    inject: (faults) => sim.inject(faults),
    emitted: (symbol) => sim.emitted(symbol),
    bookAt: (symbol, id) => sim.bookAt(symbol, id),
    open: (path, isHeard) => openReal(sim.endpoints.replace('http', 'ws') + path, isHeard),
    get: (path, isHeard) => getReal(sim.endpoints + path, isHeard),
    async until(what, condition) {
      const deadline = performance.now() + REAL_LIMIT_MS
      while (!(await condition())) {
        assert.ok(performance.now() < deadline, `not within ${REAL_LIMIT_MS} ms: ${what}`)
        time.advance(VIRTUAL_STEP_MS)
        // what was sent comes meanwhile
        await new Promise((turn) => setTimeout(turn, REAL_STEP_MS))
      }
    },
    stop: () => sim.stop(),
  }
}

/** Aborts where nothing came a while after it was heard, or far too late. */
async function abortsLate(abort: () => void, isHeard: () => boolean, isOver: () => boolean): Promise<void> {
  const deadline = performance.now() + ANSWER_MS_MAX
  while (!isHeard() && !isOver() && performance.now() < deadline) {
    await new Promise((turn) => setTimeout(turn, REAL_STEP_MS))
  }
  if (isHeard() && !isOver()) await new Promise((turn) => setTimeout(turn, HANG_MS))
  if (!isOver()) abort()
}

function openReal(
  url: string,
  isHeard: () => boolean = () => false,
): Promise<RigClient | number | 'reset' | 'hang'> {
  const socket = new WebSocket(url)
  const frames: string[] = []
  const client = { frames, pongs: 0, code: undefined as number | undefined }
  socket.on('message', (data: Buffer) => frames.push(data.toString('utf8')))
  socket.on('pong', () => client.pongs++)
  socket.on('close', (code) => {
    client.code = code
  })
  let isOver = false
  return new Promise((resolve) => {
    const done = (outcome: RigClient | number | 'reset' | 'hang') => {
      isOver = true
      resolve(outcome)
    }
    socket.once('unexpected-response', (request, response) => {
      done(response.statusCode ?? 0)
      request.destroy()
    })
    socket.on('error', () => done('reset'))
    socket.once('open', () =>
      done(Object.assign(client, { ping: () => socket.ping(), say: (text: string) => socket.send(text) })),
    )
    const abort = () => {
      done('hang')
      socket.terminate()
    }
    void abortsLate(abort, isHeard, () => isOver)
  })
}

async function getReal(url: string, isHeard: () => boolean = () => false): Promise<Seen> {
  let response: Response
  let isOver = false
  const abort = new AbortController()
  void abortsLate(
    () => abort.abort(),
    isHeard,
    () => isOver,
  )
  try {
    response = await fetch(url, { signal: abort.signal })
  } catch {
    return { status: 0, retryAfter: null, text: '', end: abort.signal.aborted ? 'hang' : 'reset' }
  } finally {
    isOver = true
  }
  const head = { status: response.status, retryAfter: response.headers.get('retry-after') }
  try {
    return { ...head, text: await response.text(), end: 'complete' }
  } catch {
    // The test asks how it ended; what came before does not matter to it.
    return { ...head, text: '', end: 'reset' }
  }
}
