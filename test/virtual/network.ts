import type { Http, HttpAnswer, OpenSocket, RawSocketEvents } from '../../capture/feed/mod.ts'
import type { Handshake, SimAnswer, SimConnection, SimPeer } from '../sim/core/transport.ts'
import type { Random } from '../sim/market/mod.ts'
import type { Incarnation, WorldTime } from './time.ts'

/** What a network needs of the exchange at its other end. */
export interface Wire {
  connect(path: string, address: string, peer: SimPeer): Handshake
  get(path: string, address: string): SimAnswer | Promise<SimAnswer>
}

/** One way, milliseconds: each message takes between the two. */
export interface Latency {
  readonly minMs: number
  readonly maxMs: number
}

/** RFC 6455: ended without a close frame. */
const CLOSE_ABNORMAL = 1006
const REFUSED = 'connect ECONNREFUSED'

/** The way between one process and the exchange: nothing overtakes on a connection. */
export class Network {
  /** Requests that left although their answer told to wait until later. */
  impatient = 0
  #cut = false
  /** What waits until the network works again. TCP loses nothing. */
  readonly #held: (() => void)[] = []
  /** When a request may leave again, as the exchange told. */
  #limitedUntilMs = 0
  readonly #process: Incarnation
  readonly #wire: Wire
  readonly #address: string
  readonly #latency: Latency
  readonly #random: Random
  readonly #pipes = new Set<Pipe>()

  constructor(process: Incarnation, wire: Wire, address: string, latency: Latency, random: Random) {
    this.#process = process
    this.#wire = wire
    this.#address = address
    this.#latency = latency
    this.#random = random
  }

  /** Nothing comes through, either way, and nobody learns of it; what was under way comes afterwards. */
  set cutOff(cut: boolean) {
    this.#cut = cut
    if (!cut) for (const act of this.#held.splice(0)) act()
  }

  readonly #through = (act: () => void): void => {
    if (this.#cut) this.#held.push(() => this.#through(act))
    else act()
  }

  /** The process has ended: its sockets are reset by its machine. */
  processDied(): void {
    for (const pipe of [...this.#pipes]) pipe.reset()
  }

  readonly openSocket: OpenSocket = (url, limits, events) => {
    const { pathname, search } = new URL(url)
    const through = this.#through
    const gone = () => this.#pipes.delete(pipe)
    const pipe = new Pipe({ process: this.#process, delay: this.#delay, through, gone, events, limits })
    this.#pipes.add(pipe)
    pipe.connect((peer) => this.#wire.connect(pathname + search, this.#address, peer))
    return pipe
  }

  readonly http: Http = (url, signal) =>
    new Promise<HttpAnswer>((resolve, reject) => {
      const { pathname, search } = new URL(url)
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      const { time } = this.#process.machine
      if (time.nowMs() < this.#limitedUntilMs) this.impatient++
      time.after(this.#delay(), () =>
        this.#through(() => {
          const answer = this.#wire.get(pathname + search, this.#address)
          if (answer instanceof Promise) throw new Error('a generated market answers at once')
          this.#answer(answer, resolve, signal)
        }),
      )
    })

  readonly #delay = (): number => {
    const { minMs, maxMs } = this.#latency
    return minMs + this.#random.next() * (maxMs - minMs)
  }

  #answer(answer: SimAnswer, resolve: (answer: HttpAnswer) => void, signal: AbortSignal): void {
    if (!Number.isFinite(answer.afterMs)) return
    const body = new Body()
    const later = (ms: number, act: () => void) => this.#process.after(ms, () => this.#through(act))
    let atMs = answer.afterMs + this.#delay()
    later(atMs, () => {
      // whoever has hung up hears nothing
      if (!signal.aborted) this.#hearLimit(answer)
      resolve({ status: answer.status, header: (name) => answer.headers[name.toLowerCase()] ?? null, body })
    })
    for (const piece of answer.pieces) {
      atMs += piece.afterMs
      later(atMs, () => body.push(piece.bytes))
    }
    if (answer.end === 'hang') return
    later(atMs, () => body.end(answer.end === 'reset' ? new Error('read ECONNRESET') : undefined))
  }

  #hearLimit({ status, headers }: SimAnswer): void {
    if (status !== 429 && status !== 418) return
    const nowMs = this.#process.machine.time.nowMs()
    const untilMs = nowMs + Number(headers['retry-after'] ?? 0) * 1000
    this.#limitedUntilMs = Math.max(this.#limitedUntilMs, untilMs)
  }
}

interface PipeOptions {
  readonly process: Incarnation
  readonly delay: () => number
  /** Acts now, or when the network works again. */
  readonly through: (act: () => void) => void
  readonly gone: () => void
  readonly events: RawSocketEvents
  readonly limits: Parameters<OpenSocket>[1]
}

/** One WebSocket through the network: both ends call it, each sees the other's calls a latency later, in order. */
class Pipe {
  readonly #options: PipeOptions
  readonly #time: WorldTime
  readonly #events: RawSocketEvents
  #connection: SimConnection | undefined
  /** When the last message of each way arrives. */
  #upMs = 0
  #downMs = 0
  #inFlight = 0
  #open = false
  /** The client was told of the end. */
  #told = false
  /** The exchange was told of the end. */
  #closed = false

  constructor(options: PipeOptions) {
    this.#options = options
    this.#time = options.process.machine.time
    this.#events = options.events
  }

  connect(shake: (peer: SimPeer) => Handshake): void {
    const { process, limits, delay } = this.#options
    process.after(limits.handshakeMs, () => {
      if (!this.#open) this.#fail('Opening handshake has timed out', 0, 0)
    })
    // TCP, TLS and the upgrade: three ways before the exchange decides
    this.#time.after(delay() + delay(), () => {
      this.#up(() => {
        if (this.#told) return
        const handshake = shake(this.#peer())
        if (handshake.kind === 'accepted') {
          this.#connection = handshake.connection
          this.#down(() => {
            if (this.#told) return
            this.#open = true
            this.#events.open()
          })
        } else if (handshake.kind === 'refused') {
          const { status, retryAfterSeconds } = handshake
          const why = `the server answered ${status} instead of a WebSocket`
          this.#down(() => this.#fail(why, status, retryAfterSeconds * 1000))
        } else if (handshake.kind === 'reset') this.#down(() => this.#fail(REFUSED, 0, 0))
      })
    })
  }

  send(text: string): void {
    this.#up(() => this.#connection?.text(text))
  }

  ping(): void {
    this.#up(() => {
      if (this.#connection?.ping() === true) this.#down(() => this.#told || this.#events.pong())
    })
  }

  close(code: number, reason: string): void {
    this.#up(() => {
      // one that is half open answers a close no more than a ping
      if (this.#closed || this.#connection?.ping() !== true) return
      this.#end()
      this.#down(() => this.#tell(code, reason))
    })
  }

  terminate(): void {
    this.#up(() => this.#end())
    this.#options.process.after(0, () => {
      if (this.#open) this.#tell(CLOSE_ABNORMAL, '')
      else this.#fail('closed before it opened', 0, 0)
    })
  }

  /** The client's machine ends the connection for a process that is no more. */
  reset(): void {
    this.#up(() => this.#end())
    this.#options.gone()
  }

  #peer(): SimPeer {
    const inFlight = () => this.#inFlight
    return {
      send: (payload) => {
        const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
        this.#inFlight += bytes.byteLength
        this.#down(() => {
          this.#inFlight -= bytes.byteLength
          if (!this.#open || this.#told) return
          if (bytes.byteLength > this.#options.limits.messageBytesMax)
            this.#refuse('Max payload size exceeded')
          else this.#events.message(bytes)
        })
      },
      ping: () => this.#down(() => this.#told || this.#up(() => this.#closed || this.#connection?.pong())),
      close: (code, reason) => {
        this.#closed = true
        this.#down(() => this.#tell(code, reason))
      },
      terminate: () => {
        this.#closed = true
        this.#down(() => this.#tell(CLOSE_ABNORMAL, ''))
      },
      get bufferedBytes() {
        return inFlight()
      },
    }
  }

  /** The client drops a connection that broke the protocol. */
  #refuse(why: string): void {
    this.#up(() => this.#end())
    this.#tell(CLOSE_ABNORMAL, why)
  }

  /** To the exchange. What a dead process had sent before still arrives. */
  #up(act: () => void): void {
    const { delay, through } = this.#options
    this.#upMs = Math.max(this.#upMs, this.#time.nowMs() + delay())
    this.#time.after(this.#upMs - this.#time.nowMs(), () => through(act))
  }

  /** To the client. */
  #down(act: () => void): void {
    const { delay, through, process } = this.#options
    this.#downMs = Math.max(this.#downMs, this.#time.nowMs() + delay())
    process.after(this.#downMs - this.#time.nowMs(), () => through(act))
  }

  /** The exchange learns that the connection is over. */
  #end(): void {
    if (this.#closed) return
    this.#closed = true
    this.#connection?.closed()
  }

  #tell(code: number, reason: string): void {
    if (this.#told) return
    this.#told = true
    this.#options.gone()
    this.#events.closed(code, reason)
  }

  #fail(why: string, status: number, retryAfterMs: number): void {
    if (this.#told) return
    this.#told = true
    this.#options.gone()
    this.#events.failed(why, status, retryAfterMs)
  }
}

/** The body of an answer, piece by piece. */
class Body implements AsyncIterable<Uint8Array> {
  readonly #pieces: Uint8Array[] = []
  #ended = false
  #error: Error | undefined
  #wake: () => void = () => {}

  push(bytes: Uint8Array): void {
    this.#pieces.push(bytes)
    this.#wake()
  }

  end(error: Error | undefined): void {
    this.#ended = true
    this.#error = error
    this.#wake()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const piece = this.#pieces.shift()
      if (piece !== undefined) {
        yield piece
        continue
      }
      if (this.#ended) {
        if (this.#error !== undefined) throw this.#error
        return
      }
      await new Promise<void>((wake) => {
        this.#wake = wake
      })
    }
  }
}
