/**
 * The one way to the API server: a shared undici Agent and the credentials of the moment. Every client and watch
 * of the process goes through it, so sockets and TLS sessions are used again.
 */
import { Agent, type Dispatcher, ProxyAgent } from 'undici'
import { type Access, accessReader, type Place, type ReadAccess, type Tls } from './config.ts'
import { ApiError } from './errors.ts'
import { type Meter, noMeter } from './meter.ts'
import type { System } from './time.ts'

/** Sockets to one API server. Each watch holds one; the rest is for calls. */
const CONNECTIONS_MAX = 64
const CONNECT_MS_MAX = 10_000
/** An idle socket is kept this long; below the 60 s at which common load balancers forget it. */
const IDLE_SOCKET_MS = 30_000
/** Projected tokens are valid for an hour and renewed at 80 %: client-go reads them again each minute, too. */
const ACCESS_AGE_MS_MAX = 60_000
/** A 401 makes us read anew; servers that answer nothing else shall not make us read files all day. */
const REREAD_EVERY_MS_MIN = 1_000

export interface RawCall {
  readonly method: Dispatcher.HttpMethod
  /** Path and query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
  readonly signal: AbortSignal
  /** Asked at the instant at which the request goes on its socket. False: nothing is sent, ApiError `Fenced`. */
  readonly fence: (() => boolean) | undefined
}

export interface RawAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: AsyncIterable<Uint8Array> & { destroy(error?: Error): unknown }
}

/** Which reading of the credentials a request went out with. */
export interface Credentials {
  readonly generation: number
}

export class Connection {
  readonly #read: ReadAccess
  readonly #system: System
  readonly #meter: Meter
  #access: Access
  #agent: Dispatcher
  #generation = 1
  #readAtMs: number
  #renewedAtMs = Number.NEGATIVE_INFINITY
  #reading: Promise<void> | undefined

  constructor(read: ReadAccess, first: Access, system: System, meter: Meter = noMeter) {
    this.#read = read
    this.#system = system
    this.#meter = meter
    this.#access = first
    this.#agent = agentOf(first)
    this.#readAtMs = system.clock.monotonicMs()
  }

  /** Host and port, as in the metrics. */
  get host(): string {
    return new URL(this.#access.server).host
  }

  /** The namespace that we live in, where the configuration knows one. */
  get namespace(): string | undefined {
    return this.#access.namespace
  }

  /** The credentials to call with now, read again each minute. */
  async credentials(): Promise<Credentials> {
    if (this.#ageMs() > ACCESS_AGE_MS_MAX) await this.#reread()
    return { generation: this.#generation }
  }

  /**
   * To be called after a 401: reads the credentials again, once for all calls that were refused with the same ones.
   * Returns whether another try may end otherwise.
   */
  async renew(refused: Credentials): Promise<boolean> {
    if (refused.generation !== this.#generation) return true
    const nowMs = this.#system.clock.monotonicMs()
    if (this.#reading === undefined) {
      if (nowMs - this.#renewedAtMs < REREAD_EVERY_MS_MIN) return false
      this.#renewedAtMs = nowMs
    }
    await this.#reread()
    return refused.generation !== this.#generation
  }

  /** Sends one request. Rejects with ApiError (`Fenced`), the signal's reason, or an error of undici. */
  async send(call: RawCall): Promise<RawAnswer> {
    const { server, headers } = this.#access
    const url = new URL(server)
    const agent = call.fence === undefined ? this.#agent : fenced(this.#agent, call.fence)
    const answer = await agent.request({
      origin: url.origin,
      path: `${url.pathname === '/' ? '' : url.pathname}${call.path}`,
      method: call.method,
      headers: { ...call.headers, ...headers },
      body: call.body ?? null,
      signal: call.signal,
    })
    // a stream that breaks after its reader left has nobody to tell
    answer.body.on('error', () => {})
    return { status: answer.statusCode, headers: answer.headers, body: answer.body }
  }

  /** Ends all sockets, also those in use. */
  async close(): Promise<void> {
    await this.#agent.destroy()
  }

  #ageMs(): number {
    return this.#system.clock.monotonicMs() - this.#readAtMs
  }

  /** Reads once for all who ask at the same time. What cannot be read leaves the old credentials in use. */
  #reread(): Promise<void> {
    this.#reading ??= this.#readAgain().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  async #readAgain(): Promise<void> {
    try {
      const next = await this.#read()
      this.#meter.count('l2cap_operator_credentials_reads_total', { result: 'read' })
      this.#take(next)
    } catch {
      // counted; the calls go on with what we have, and their own failures name the server's reason
      this.#meter.count('l2cap_operator_credentials_reads_total', { result: 'failed' })
    }
    this.#readAtMs = this.#system.clock.monotonicMs()
  }

  #take(next: Access): void {
    const before = this.#access
    if (JSON.stringify(before) === JSON.stringify(next)) return
    this.#access = next
    this.#generation += 1
    if (before.proxy === next.proxy && sameTls(before.tls, next.tls)) return
    // certificates belong to sockets: new calls get new ones, calls and watches under way end in their own time
    const old = this.#agent
    this.#agent = agentOf(next)
    old.close().catch(() => old.destroy())
  }
}

/** Reads the configuration and opens the way to the API server; no request is sent. Throws KubeError. */
export async function openConnection(place: Place, system: System, meter?: Meter): Promise<Connection> {
  const read = accessReader(place)
  return new Connection(read, await read(), system, meter)
}

function sameTls(a: Tls, b: Tls): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

function agentOf(access: Access): Dispatcher {
  const shared = {
    connections: CONNECTIONS_MAX,
    pipelining: 1,
    keepAliveTimeout: IDLE_SOCKET_MS,
    keepAliveMaxTimeout: IDLE_SOCKET_MS,
    // deadlines are the caller's: a call's ends all of it, a watch has its own limit of silence
    headersTimeout: 0,
    bodyTimeout: 0,
  }
  const tls = {
    ...access.tls,
    timeout: CONNECT_MS_MAX,
    keepAlive: true,
    keepAliveInitialDelay: IDLE_SOCKET_MS,
  }
  if (access.proxy === undefined) return new Agent({ ...shared, connect: tls })
  return new ProxyAgent({ ...shared, uri: access.proxy, requestTls: tls })
}

/**
 * A request may wait for a socket, and the process may be stopped meanwhile (SIGSTOP): a check before the call would
 * be of no use. undici asks here right before it writes the request.
 */
function fenced(agent: Dispatcher, fence: () => boolean): Dispatcher {
  return agent.compose(
    (dispatch) => (options, handler) => dispatch(options, new FencedHandler(handler, fence)),
  )
}

class FencedHandler implements Dispatcher.DispatchHandler {
  readonly #inner: Dispatcher.DispatchHandler
  readonly #fence: () => boolean

  constructor(inner: Dispatcher.DispatchHandler, fence: () => boolean) {
    this.#inner = inner
    this.#fence = fence
  }

  onRequestStart(controller: Dispatcher.DispatchController, context: unknown): void {
    this.#inner.onRequestStart?.(controller, context)
    if (!this.#fence()) throw fencedError()
  }

  onRequestUpgrade(...args: Parameters<NonNullable<Dispatcher.DispatchHandler['onRequestUpgrade']>>): void {
    this.#inner.onRequestUpgrade?.(...args)
  }

  onResponseStart(...args: Parameters<NonNullable<Dispatcher.DispatchHandler['onResponseStart']>>): void {
    this.#inner.onResponseStart?.(...args)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#inner.onResponseData?.(controller, chunk)
  }

  onResponseEnd(...args: Parameters<NonNullable<Dispatcher.DispatchHandler['onResponseEnd']>>): void {
    this.#inner.onResponseEnd?.(...args)
  }

  onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    this.#inner.onResponseError?.(controller, error)
  }
}

export function fencedError(): ApiError {
  return new ApiError({
    code: 'Fenced',
    message: 'not sent: this replica does not hold the lease for certain, so it may not write',
  })
}
