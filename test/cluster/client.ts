import { setTimeout } from 'node:timers/promises'
import { Agent, type Dispatcher } from 'undici'

export const MERGE_PATCH = 'application/merge-patch+json'
const APPLY_PATCH = 'application/apply-patch+yaml'
const TIMEOUT_MS = 120_000
/** In the answer 429 to whoever asks for objects of a kind that was just defined. */
const INITIALIZING = 'storage is (re)initializing'
const INITIALIZING_SECONDS_MAX = 60
/** A line of a watch, or a list, of a test is never longer. */
const LINE_CHARS_MAX = 64 * 1024 * 1024

export interface ApiAddress {
  /** `https://host:port`. */
  readonly server: string
  /** The authority behind its certificate, PEM. */
  readonly ca?: string | undefined
  readonly token?: string | undefined
  /** A client's certificate, where the cluster wants one. */
  readonly cert?: string | undefined
  readonly key?: string | undefined
}

/** The API server refused. */
export class ApiFailure extends Error {
  readonly status: number
  /** The word in its Status, such as `NotFound`. */
  readonly reason: string
  readonly body: string
  readonly retryAfterSeconds: number | undefined

  constructor(call: string, status: number, body: string, retryAfter?: string) {
    const { reason = '', message = body } = statusIn(body)
    super(`${call}: ${status} ${reason}: ${message}`)
    this.status = status
    this.reason = reason
    this.body = body
    this.retryAfterSeconds = retryAfter === undefined ? undefined : Number(retryAfter)
  }
}

export interface WatchEvent<T = unknown> {
  readonly type: string
  readonly object: T
}

/**
 * A plain client of an API server, for tests: no cache, no retry, nothing of the operator's own code. Paths are
 * those of the API, with their query. Every method throws ApiFailure where the server refuses, and undici's
 * error where it does not answer.
 */
export class ApiClient {
  readonly address: ApiAddress
  readonly #agent: Agent

  constructor(address: ApiAddress) {
    this.address = address
    const { ca, cert, key } = address
    const connect = {
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
    }
    this.#agent = new Agent({ connect, pipelining: 1 })
  }

  /** The same server under another name. */
  as(token: string): ApiClient {
    const { server, ca } = this.address
    return new ApiClient({ server, ca, token })
  }

  async get<T>(path: string): Promise<T> {
    return await this.send<T>('GET', path)
  }

  async list<T>(path: string): Promise<T[]> {
    return (await this.get<{ readonly items: T[] }>(path)).items
  }

  async create<T>(path: string, body: object): Promise<T> {
    return await this.send<T>('POST', path, body)
  }

  async patch<T>(path: string, body: object, type = MERGE_PATCH): Promise<T> {
    return await this.send<T>('PATCH', path, body, type)
  }

  /** Server-side apply, by force. */
  async apply<T>(path: string, body: object, manager = 'l2cap-test'): Promise<T> {
    const query = `${path.includes('?') ? '&' : '?'}fieldManager=${manager}&force=true`
    return await this.send<T>('PATCH', path + query, body, APPLY_PATCH)
  }

  async delete<T>(path: string, options?: object): Promise<T> {
    return await this.send<T>('DELETE', path, options)
  }

  /** False for 404. */
  async exists(path: string): Promise<boolean> {
    try {
      await this.get(path)
      return true
    } catch (error) {
      if (error instanceof ApiFailure && error.status === 404) return false
      throw error
    }
  }

  /** Answers that are no JSON come as text. */
  async send<T>(method: string, path: string, body?: unknown, contentType = 'application/json'): Promise<T> {
    let reply = await this.raw(method, path, body, contentType)
    let text = await reply.body.text()
    // a new kind of object has no cache yet, and nothing was done
    for (let waits = 0; text.includes(INITIALIZING) && waits < INITIALIZING_SECONDS_MAX; waits++) {
      await setTimeout(1000)
      reply = await this.raw(method, path, body, contentType)
      text = await reply.body.text()
    }
    if (reply.statusCode >= 400) throw failureOf(method, path, reply, text)
    return reply.headers['content-type']?.includes('json') ? JSON.parse(text) : (text as T)
  }

  /**
   * One watch; the path brings `watch=1`. Resolves when the server ends it, or the signal does; rejects when it
   * is refused, when it breaks, when a line is no JSON, and with what `onEvent` throws.
   */
  async watch<T>(path: string, onEvent: (event: WatchEvent<T>) => void, signal: AbortSignal): Promise<void> {
    try {
      const reply = await this.raw('GET', path, undefined, undefined, signal)
      if (reply.statusCode >= 400) throw failureOf('GET', path, reply, await reply.body.text())
      let rest = ''
      reply.body.setEncoding('utf8')
      for await (const text of reply.body) {
        const lines = (rest + text).split('\n')
        rest = lines.pop() ?? ''
        if (rest.length > LINE_CHARS_MAX) throw new Error(`a line of the watch of ${path} does not end`)
        for (const line of lines) onEvent(JSON.parse(line))
      }
      if (rest !== '') throw new Error(`the watch of ${path} ended inside a line: ${rest.slice(0, 100)}`)
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  /** The answer as it is, whatever its status; without a signal it must come within two minutes. */
  async raw(
    method: string,
    path: string,
    body?: unknown,
    contentType = 'application/json',
    signal?: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    const { server, token } = this.address
    return await this.#agent.request({
      origin: server,
      path,
      method: method as Dispatcher.HttpMethod,
      headers: {
        accept: 'application/json',
        'user-agent': 'l2cap-test',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': contentType }),
      },
      body: body === undefined ? null : JSON.stringify(body),
      ...(signal === undefined
        ? { headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS }
        : { signal, headersTimeout: 0, bodyTimeout: 0 }),
    })
  }

  /** Ends its connections. */
  async close(): Promise<void> {
    await this.#agent.destroy()
  }
}

function failureOf(method: string, path: string, reply: Dispatcher.ResponseData, text: string): ApiFailure {
  const retryAfter = reply.headers['retry-after']
  return new ApiFailure(`${method} ${path}`, reply.statusCode, text, retryAfter?.toString())
}

function statusIn(body: string): { readonly reason?: string; readonly message?: string } {
  try {
    const parsed: unknown = JSON.parse(body)
    return typeof parsed === 'object' && parsed !== null ? parsed : {}
  } catch {
    return {} // plain text, which is shown as it is
  }
}
