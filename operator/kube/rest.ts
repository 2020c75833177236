/** Calls to the API server: JSON in, JSON out, one kind of error. */

import { jitteredMs } from './backoff.ts'
import type { Connection, RawAnswer } from './connection.ts'
import { ApiError, errorOfAnswer, isRetryable } from './errors.ts'
import { Limiter } from './limiter.ts'
import { type Meter, noMeter } from './meter.ts'
import { type System, sleep } from './time.ts'

export const MERGE_PATCH = 'application/merge-patch+json'
export const STRATEGIC_MERGE_PATCH = 'application/strategic-merge-patch+json'
export const JSON_PATCH = 'application/json-patch+json'
export const APPLY_PATCH = 'application/apply-patch+yaml'

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
export type Query = Readonly<Record<string, string | number | boolean | undefined>>

export interface Call {
  readonly method: Method
  /** From the server's root, its parts already escaped: `/api/v1/namespaces/default/pods`. */
  readonly path: string
  readonly query?: Query
  readonly body?: unknown
  readonly contentType?: string
  /** For everything: our own pace, all tries, the answer's last byte. 15 s unless given. */
  readonly deadlineMs?: number
  readonly signal?: AbortSignal
}

export interface ClientOptions {
  readonly connection: Connection
  readonly system: System
  readonly meter?: Meter
  /** Calls a second in the long run, and at once; defaults 50 and 100. */
  readonly qps?: number
  readonly burst?: number
  readonly userAgent?: string
  /** May we write? Asked at the instant at which a write goes on its socket. */
  readonly fence?: () => boolean
}

const DEADLINE_MS = 15_000
/** A read is tried this often within its deadline; a write once, for nobody knows what became of the first. */
const READ_TRIES_MAX = 4
const READ_RETRY = { firstMs: 100, maxMs: 5_000 }
/** A list of 500 pods has 5 to 10 MB. */
const ANSWER_BYTES_MAX = 128 * 1024 * 1024

export class KubeClient {
  readonly #connection: Connection
  readonly #system: System
  readonly #meter: Meter
  readonly #limiter: Limiter
  readonly #userAgent: string
  readonly #fence: (() => boolean) | undefined

  constructor(options: ClientOptions) {
    this.#connection = options.connection
    this.#system = options.system
    this.#meter = options.meter ?? noMeter
    this.#limiter = new Limiter({ qps: options.qps ?? 50, burst: options.burst ?? 100 }, options.system)
    this.#userAgent = options.userAgent ?? 'l2cap-operator'
    this.#fence = options.fence
  }

  /**
   * One call. Returns the answer's JSON, which the caller's type describes and nobody checks.
   *
   * Reads are tried again within the deadline after an answer or failure that may pass (429, 5xx, broken sockets), no
   * sooner than the server asked for. Writes are not. Credentials that are refused are read again once. Throws ApiError.
   */
  async request<T>(call: Call): Promise<T> {
    return this.#within(call, async (signal) => {
      for (let tries = 1; ; tries++) {
        try {
          const answer = await this.#send(call, signal)
          return parse<T>(nameOf(call), await readAll(answer, nameOf(call)))
        } catch (thrown) {
          const error = this.#errorOf(call, thrown, signal)
          const again = call.method === 'GET' && tries < READ_TRIES_MAX && isRetryable(error)
          if (!again || signal.aborted) throw error
          const backoffMs = jitteredMs(READ_RETRY, tries, this.#system.random)
          const waitMs = Math.max(backoffMs, error.retryAfterMs ?? 0)
          await sleep(this.#system.timers, waitMs, signal)
          // the deadline passed while waiting: what went wrong says more than that
          if (signal.aborted && signal.reason instanceof Deadline) throw error
        }
      }
    })
  }

  /**
   * Opens a stream of lines. The deadline is for the answer's head alone; `signal` ends the stream, too. Throws
   * ApiError, also where the server answers with an error.
   */
  async open(call: Call & { readonly signal: AbortSignal }): Promise<RawAnswer['body']> {
    const head = new AbortController()
    const cancel = this.#system.timers.after(call.deadlineMs ?? DEADLINE_MS, () => head.abort(new Deadline()))
    const signal = AbortSignal.any([call.signal, head.signal])
    try {
      return (await this.#send(call, signal)).body
    } catch (thrown) {
      throw this.#errorOf(call, thrown, signal)
    } finally {
      cancel()
    }
  }

  async #within<T>(call: Call, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController()
    const cancel = this.#system.timers.after(call.deadlineMs ?? DEADLINE_MS, () =>
      controller.abort(new Deadline()),
    )
    const signal =
      call.signal === undefined ? controller.signal : AbortSignal.any([call.signal, controller.signal])
    try {
      return await work(signal)
    } finally {
      cancel()
    }
  }

  /** One try, or two where the first was refused for old credentials: a 401 was not carried out. */
  async #send(call: Call, signal: AbortSignal): Promise<RawAnswer> {
    const credentials = await within(signal, this.#connection.credentials())
    const answer = await this.#sendOnce(call, signal)
    if (answer.status !== 401) return this.#checked(call, answer)
    const refused = await this.#checked(call, answer).catch((error: unknown) => error)
    if (!(await within(signal, this.#connection.renew(credentials)))) throw refused
    return this.#checked(call, await this.#sendOnce(call, signal))
  }

  async #sendOnce(call: Call, signal: AbortSignal): Promise<RawAnswer> {
    await this.#limiter.take(signal)
    signal.throwIfAborted()
    const { method } = call
    const labels = { method, host: this.#connection.host }
    try {
      const answer = await this.#connection.send({
        method,
        path: pathOf(call),
        headers: this.#headers(call),
        body: call.body === undefined ? undefined : JSON.stringify(call.body),
        signal,
        fence: method === 'GET' ? undefined : this.#fence,
      })
      this.#meter.count('rest_client_requests_total', { ...labels, code: String(answer.status) })
      return answer
    } catch (error) {
      // what was fenced was no request
      if (!(error instanceof ApiError))
        this.#meter.count('rest_client_requests_total', { ...labels, code: '<error>' })
      throw error
    }
  }

  #headers(call: Call): Record<string, string> {
    const headers: Record<string, string> = { accept: 'application/json', 'user-agent': this.#userAgent }
    if (call.body !== undefined) headers['content-type'] = call.contentType ?? 'application/json'
    return headers
  }

  async #checked(call: Call, answer: RawAnswer): Promise<RawAnswer> {
    if (answer.status >= 200 && answer.status < 300) return answer
    const text = await readAll(answer, nameOf(call))
    const after = answer.headers['retry-after']
    throw errorOfAnswer(
      nameOf(call),
      answer.status,
      jsonOrNothing(text),
      typeof after === 'string' ? after : undefined,
    )
  }

  #errorOf(call: Call, thrown: unknown, signal: AbortSignal): ApiError {
    if (thrown instanceof ApiError) return thrown
    const what = nameOf(call)
    if (signal.aborted && signal.reason instanceof Deadline) {
      const seconds = (call.deadlineMs ?? DEADLINE_MS) / 1000
      return new ApiError({
        code: 'Timeout',
        message: `${what}: no answer within ${seconds} s`,
        cause: thrown,
      })
    }
    if (call.signal?.aborted)
      return new ApiError({ code: 'Aborted', message: `${what}: called off`, cause: thrown })
    return new ApiError({ code: 'Network', message: `${what}: ${describe(thrown)}`, cause: thrown })
  }
}

/** Credentials may come from a plug-in that hangs; the call that waits for them keeps its deadline. */
async function within<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    signal.throwIfAborted()
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** Why a call was called off: its own deadline. */
class Deadline extends Error {}

function nameOf(call: Call): string {
  return `${call.method} ${call.path}`
}

function pathOf(call: Call): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(call.query ?? {})) {
    if (value !== undefined) query.set(name, String(value))
  }
  return query.size === 0 ? call.path : `${call.path}?${query}`
}

async function readAll(answer: RawAnswer, what: string): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of answer.body) {
    bytes += chunk.length
    if (bytes > ANSWER_BYTES_MAX) {
      throw new ApiError({
        code: 'Refused',
        status: answer.status,
        message: `${what}: the answer has over ${ANSWER_BYTES_MAX} bytes`,
      })
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parse<T>(what: string, text: string): T {
  try {
    return JSON.parse(text) as T
  } catch (error) {
    throw new ApiError({
      code: 'BadAnswer',
      message: `${what}: the answer is no JSON (${text.length} characters)`,
      cause: error,
    })
  }
}

/** Error pages of proxies are no JSON; then the status alone speaks. */
function jsonOrNothing(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function describe(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown)
  const code = 'code' in thrown && typeof thrown.code === 'string' ? `${thrown.code}: ` : ''
  return `${code}${thrown.message}`
}
