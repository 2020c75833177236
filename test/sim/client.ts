/** A client for tests: sockets whose frames are kept, REST answers, and waiting for a condition. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { type RawData, WebSocket } from 'ws'
import type { ManualTime } from './core/mod.ts'
import type { Route } from './streams.ts'

/** Far above what anything here takes on a busy machine. */
const DEADLINE_MS = 180_000

/** Fewer than a cut of depth takes: what is sent is received before the next. */
export const VIRTUAL_STEP_MS = 10

/** Where the recorded traffic lies. */
export const RECORDINGS = resolve(
  process.env.L2CAP_RECORDINGS ?? `${import.meta.dirname}/../../../shared/recordings`,
)

/** For a test's `skip`: false, or why recorded traffic cannot be had. Under CI its absence is a failure. */
export function withoutRecordings(): false | string {
  if (existsSync(RECORDINGS)) return false
  const why = `no recordings at ${RECORDINGS}; set L2CAP_RECORDINGS`
  if (process.env.CI !== undefined) throw new Error(why)
  return why
}

export function recordingPath(name: string): string {
  return `${RECORDINGS}/binance-usdm/${name}.frames.gz`
}

/** Resolves once the condition holds; rejects with `what` when it does not in time. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS
  while (!condition()) {
    assert.ok(performance.now() < deadline, `not within ${DEADLINE_MS} ms: ${what}`)
    await new Promise((turn) => setTimeout(turn, 2))
  }
}

/**
 * The same where the exchange's time is moved by hand: it goes on by a step after each look, and stands still while
 * this process does.
 */
export function untilLater(time: ManualTime, what: string, condition: () => boolean): Promise<void> {
  return until(what, () => {
    if (condition()) return true
    time.advance(VIRTUAL_STEP_MS)
    return false
  })
}

export interface ClientOptions {
  /** Answers pings; it does by default. */
  readonly autoPong?: boolean
}

export class Client {
  readonly socket: WebSocket
  readonly frames: Buffer[] = []
  pings = 0
  /** Close code, once closed. */
  code: number | undefined

  private constructor(socket: WebSocket) {
    this.socket = socket
    socket.on('message', (data: RawData) => {
      assert.ok(Buffer.isBuffer(data))
      this.frames.push(data)
    })
    socket.on('ping', () => this.pings++)
    socket.on('close', (code) => {
      this.code = code
    })
  }

  /** Opens a path such as `/public/stream?streams=btcusdt@depth`. */
  static async open(endpoints: string, path: string, options: ClientOptions = {}): Promise<Client> {
    const client = new Client(new WebSocket(endpoints.replace('http', 'ws') + path, options))
    await new Promise((done, failed) => client.socket.once('open', done).once('error', failed))
    return client
  }

  static combined(endpoints: string, route: Route, streams: readonly string[]): Promise<Client> {
    return Client.open(endpoints, `/${route}/stream?streams=${streams.map(encodeURIComponent).join('/')}`)
  }

  /** Sends a message and waits for the answer that carries its id. */
  async ask(message: {
    readonly method: string
    readonly params?: readonly string[]
    readonly id: number
  }): Promise<unknown> {
    this.socket.send(JSON.stringify(message))
    const find = () => this.frames.map(parsed).find((frame) => frame.id === message.id)
    await until(`an answer to ${JSON.stringify(message)}`, () => find() !== undefined)
    return find()
  }

  /** The payloads of a stream's frames, parsed; of all frames on a bare socket. */
  data(stream?: string): Record<string, unknown>[] {
    const frames = this.frames.map(parsed)
    if (stream === undefined) return frames
    return frames
      .filter((frame) => frame.stream === stream)
      .map((frame) => frame.data as Record<string, unknown>)
  }

  /** Waits until nothing is on its way any more: the answer to a ping comes after all that was sent before. */
  async settled(): Promise<void> {
    await new Promise((done) => {
      this.socket.once('pong', done)
      this.socket.ping()
    })
  }
}

function parsed(frame: Buffer): Record<string, unknown> {
  return JSON.parse(frame.toString('utf8')) as Record<string, unknown>
}

export interface RestAnswer {
  readonly status: number
  readonly headers: Headers
  readonly bytes: Buffer
  readonly body: Record<string, unknown>
}

export async function rest(endpoints: string, path: string): Promise<RestAnswer> {
  const response = await fetch(endpoints + path)
  const bytes = Buffer.from(await response.arrayBuffer())
  const body = JSON.parse(bytes.toString('utf8')) as Record<string, unknown>
  return { status: response.status, headers: response.headers, bytes, body }
}
