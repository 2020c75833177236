/** Where events go: a terminal that a person watches, or a pipe that a program reads. */
import type { RunEvent, SymbolStatus } from './events.ts'
import { lineOf, liveLines } from './text.ts'

const REDRAW_MS = 250
/** A pipe gets the status of a symbol at most so often. */
const STATUS_EVERY_MS = 1000

export interface View {
  event(event: RunEvent): void
  /** Nothing is written after it. */
  close(): void
}

/** What of a terminal is used. */
export interface Screen {
  readonly columns?: number
  readonly rows?: number
  write(text: string): unknown
}

export interface ViewOptions {
  readonly verbose: boolean
  readonly statuses: () => readonly SymbolStatus[]
}

/** Events as lines that stay, and below them one live line a symbol, drawn in place. */
export class TerminalView implements View {
  readonly #out: Screen
  readonly #options: ViewOptions
  readonly #timer: NodeJS.Timeout
  #drawn = 0

  constructor(out: Screen, options: ViewOptions) {
    this.#out = out
    this.#options = options
    this.#timer = setInterval(() => this.#draw(''), REDRAW_MS)
  }

  event(event: RunEvent): void {
    const line = lineOf(event, this.#options.verbose)
    if (line !== undefined) this.#draw(`${new Date().toISOString().slice(11, 19)}  ${line}\n`)
  }

  close(): void {
    clearInterval(this.#timer)
    this.#out.write(this.#erase())
    this.#drawn = 0
  }

  /** One write a frame, so that nothing flickers. */
  #draw(above: string): void {
    const { columns = 80, rows = 24 } = this.#out
    const erase = this.#erase()
    const lines = liveLines(this.#options.statuses(), columns, rows)
    this.#drawn = lines.length
    this.#out.write(`${erase}${above}${lines.map((line) => `${line}\n`).join('')}`)
  }

  /** Up over the live lines, then clear to the end of the screen. */
  #erase(): string {
    return this.#drawn === 0 ? '' : `\x1b[${this.#drawn}F\x1b[J`
  }
}

/**
 * Events as JSON, one a line, on standard output. The captures' own log lines go to standard error as they are:
 * warnings and errors, and all of them where asked.
 */
export class PipeView implements View {
  readonly #options: ViewOptions
  readonly #lastStatusMs = new Map<string, number>()
  #isOpen = true

  constructor(options: ViewOptions) {
    this.#options = options
    // whoever read this is gone: the capture goes on, it is worth more than its narration
    process.stdout.on('error', () => {
      if (!this.#isOpen) return
      this.#isOpen = false
      process.stderr.write('l2cap: nobody reads standard output any more; the capture goes on without it\n')
    })
    process.stderr.on('error', () => {}) // nobody is left to tell
  }

  event(event: RunEvent): void {
    if (event.event === 'log') {
      if (event.level !== 'info' || this.#options.verbose) process.stderr.write(`${event.line}\n`)
      return
    }
    if (event.event === 'ended' && event.next === 'wrong_call') return // told as the command's own sentence
    if (event.event === 'status' && !this.#isDue(event.symbol)) return
    const { event: name, ...fields } = event
    if (this.#isOpen)
      process.stdout.write(`${JSON.stringify({ event: name, at: new Date().toISOString(), ...fields })}\n`)
  }

  close(): void {}

  #isDue(symbol: string): boolean {
    const nowMs = performance.now()
    if (nowMs - (this.#lastStatusMs.get(symbol) ?? Number.NEGATIVE_INFINITY) < STATUS_EVERY_MS) return false
    this.#lastStatusMs.set(symbol, nowMs)
    return true
  }
}
