import type { Clock } from './clock.ts'
import { TimerGroup, type Timers } from './timers.ts'
import { type Http, type HttpAnswer, reasonOf, retryAfterMs } from './transport.ts'

const ANSWER_MS_MAX = 10_000
const BODY_MS_MAX = 10_000
/** 32 MiB less the rest of the journal's frame: every body that comes in must fit into one. */
const BODY_BYTES_MAX = 32 * 1024 * 1024 - 64 * 1024

/** The outcome of a GET. It is a value whatever happened: a request must never end a capture. */
export interface RestResult {
  /** 0 where no whole answer came; `error` says why. A refusal (400 and up) keeps its status without a body. */
  readonly status: number
  /** The exchange's used-weight header; -1 where absent. */
  readonly usedWeight: number
  /** `Retry-After` in milliseconds; 0 where absent. */
  readonly retryAfterMs: number
  readonly body: Uint8Array
  readonly error: string
}

export interface RestOptions {
  /** Base address, without a closing slash. */
  readonly base: string
  readonly usedWeightHeader: string
  readonly http: Http
  readonly clock: Clock
  readonly timers: Timers
}

/** GETs with hard deadlines: 10 s for the head of the answer, 10 s more for its body. */
export class Rest {
  readonly #options: RestOptions

  constructor(options: RestOptions) {
    this.#options = options
  }

  /** Asks for a path with its query; `onHead` hears of the answer before its body. Never throws; an abort of `stop` gives status 0. */
  async get(
    path: string,
    stop: AbortSignal,
    onHead: (status: number, retryAfterMs: number) => void = () => {},
  ): Promise<RestResult> {
    const deadline = new Deadline(this.#options.timers, stop)
    let head: Omit<RestResult, 'body' | 'error'> = { status: 0, usedWeight: -1, retryAfterMs: 0 }
    try {
      deadline.set(ANSWER_MS_MAX, `no answer within ${ANSWER_MS_MAX / 1000} s`)
      const answer = await deadline.holds(this.#options.http(this.#options.base + path, deadline.signal))
      head = this.#headOf(answer)
      onHead(head.status, head.retryAfterMs)
      deadline.set(BODY_MS_MAX, `no whole body within ${BODY_MS_MAX / 1000} s`)
      const body = await deadline.holds(readBody(answer.body))
      const error = head.status === 200 ? '' : `HTTP ${head.status}: ${excerpt(body)}`
      return { ...head, body, error }
    } catch (thrown) {
      const status = head.status >= 400 ? head.status : 0
      return { ...head, status, body: new Uint8Array(0), error: reasonOf(thrown) }
    } finally {
      deadline.end()
    }
  }

  #headOf(answer: HttpAnswer): Omit<RestResult, 'body' | 'error'> {
    const weight = answer.header(this.#options.usedWeightHeader) ?? ''
    return {
      status: answer.status,
      usedWeight: /^\d{1,9}$/.test(weight) ? Number(weight) : -1,
      retryAfterMs: retryAfterMs(answer.header('retry-after'), this.#options.clock.wallUs() / 1000),
    }
  }
}

/** Collects a body. Throws beyond the limit, counted in bytes as they are after any decompression. */
async function readBody(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.byteLength
    if (bytes > BODY_BYTES_MAX) throw new RangeError(`a body of more than ${BODY_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  return chunks.length === 1 ? chunks[0] : Buffer.concat(chunks, bytes)
}

const EXCERPT_BYTES = 120

function excerpt(body: Uint8Array): string {
  return Buffer.from(body.buffer, body.byteOffset, Math.min(body.byteLength, EXCERPT_BYTES)).toString('utf8')
}

/**
 * Ends a request from outside: by time or by a stop. It holds even where the transport ignores its signal, since
 * what it waits for is raced against the end.
 */
class Deadline {
  readonly #timers: TimerGroup
  readonly #abort = new AbortController()
  readonly #stop: AbortSignal
  readonly #ended: Promise<never>
  readonly #onStop = () => this.#end('stopped')
  #reject: (error: Error) => void = () => {}
  #cancel: () => void = () => {}

  constructor(timers: Timers, stop: AbortSignal) {
    this.#timers = new TimerGroup(timers)
    this.#stop = stop
    this.#ended = new Promise((_, reject) => {
      this.#reject = reject
    })
    // it may end while nobody waits; whoever waits gets it through the race
    this.#ended.catch(() => {})
    if (stop.aborted) this.#end('stopped')
    else stop.addEventListener('abort', this.#onStop)
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** From now on: so long. */
  set(ms: number, why: string): void {
    this.#cancel()
    this.#cancel = this.#timers.after(ms, () => this.#end(why))
  }

  holds<T>(work: Promise<T>): Promise<T> {
    return Promise.race([this.#ended, work])
  }

  /** Lets go of timer, listener and whatever of the request still runs. */
  end(): void {
    this.#timers.close()
    this.#stop.removeEventListener('abort', this.#onStop)
    this.#abort.abort()
  }

  #end(why: string): void {
    const error = new Error(why)
    this.#reject(error)
    this.#abort.abort(error)
  }
}
