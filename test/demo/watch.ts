/** What has happened so far: faults at the exchange, falls and rises of each book. The demo waits on it. */
import { isBookRows, type RunEvent } from '../../capture/cli/events.ts'

export interface Fault {
  readonly kind: string
  readonly symbol: string
  readonly atMs: number
  /** Of a kill: the last id that the capture had told us of. */
  readonly lastId?: bigint
}

/** A book that was lost, or a process that ended. */
export interface Fall {
  readonly reason: string
  readonly atMs: number
}

export interface Seen {
  readonly falls: Fall[]
  /** Its book is live since; undefined while it is not. */
  liveAtMs: number | undefined
  pid: number | undefined
  /** When the process that runs now was started. */
  startedMs: number
  /** Of the book, as the capture told it at last. */
  lastId: bigint
}

export class Watch {
  readonly faults: Fault[] = []
  readonly #symbols = new Map<string, Seen>()
  readonly #waiting = new Set<() => void>()
  /** Nothing more will happen. */
  #over = false

  of(symbol: string): Seen {
    let seen = this.#symbols.get(symbol)
    if (seen === undefined) {
      seen = { falls: [], liveAtMs: undefined, pid: undefined, startedMs: 0, lastId: 0n }
      this.#symbols.set(symbol, seen)
    }
    return seen
  }

  get over(): boolean {
    return this.#over
  }

  fault(kind: string, symbol: string): Fault {
    const lastId = this.of(symbol).lastId
    const fault = { kind, symbol, atMs: Date.now(), lastId }
    this.faults.push(fault)
    this.#wake()
    return fault
  }

  onCapture(event: RunEvent): void {
    switch (event.event) {
      case 'started': {
        const seen = this.of(event.symbol)
        seen.pid = event.pid
        seen.startedMs = Date.now()
        break
      }
      case 'live':
        this.of(event.symbol).liveAtMs = Date.now()
        break
      case 'gap':
        // books and depth fall together; what falls beside them does not end the book
        if (!isBookRows(event.stream)) return
        this.#fell(event.symbol, event.reason)
        break
      case 'ended': {
        this.#fell(event.symbol, event.reason)
        this.of(event.symbol).pid = undefined
        break
      }
      case 'status': {
        this.of(event.symbol).lastId = BigInt(event.lastId)
        break
      }
      default:
        return
    }
    this.#wake()
  }

  #fell(symbol: string, reason: string): void {
    const seen = this.of(symbol)
    seen.falls.push({ reason, atMs: Date.now() })
    seen.liveAtMs = undefined
  }

  end(): void {
    this.#over = true
    this.#wake()
  }

  /** Waits until it is so; false where that did not come within `timeoutMs`, or nothing can come any more. */
  async until(isSo: () => boolean, timeoutMs: number): Promise<boolean> {
    const deadlineMs = performance.now() + timeoutMs
    while (!isSo()) {
      const leftMs = deadlineMs - performance.now()
      if (this.#over || leftMs <= 0) return false
      await this.#next(leftMs)
    }
    return true
  }

  /** Resolves with the next event, or after so long. */
  async #next(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.add(resolve)
    const timer = setTimeout(resolve, ms)
    await promise
    clearTimeout(timer)
    this.#waiting.delete(resolve)
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake()
  }
}
