import type { ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { setTimeout as moment } from 'node:timers/promises'
import { cut, type StatusAnswer, statusObject } from './reply.ts'
import type { SeenRequest } from './request.ts'
import { type Match, matches, Rule } from './rule.ts'

export interface ProxiedEvent {
  readonly type: string
  readonly object: {
    readonly kind?: string
    readonly metadata?: {
      readonly name?: string
      readonly namespace?: string
      readonly resourceVersion?: string
    }
  }
}

export type WatchFault =
  /** Never sent: the client does not learn of it. */
  | 'drop'
  | 'duplicate'
  /** Comes after the event that follows it. */
  | 'swap'
  /** Half of its line, and the watch ends. */
  | 'truncate'
  /** The connection stays, and nothing more is sent, until the rule is removed: then it breaks. */
  | 'freeze'
  /** An ERROR event with 410 in its place, and the watch ends. */
  | 'gone'
  /** The watch ends in order. */
  | 'end'
  /** The connection breaks. */
  | 'cut'
  /** It and all that follows come later. */
  | { readonly kind: 'delay'; readonly ms: number }
  | ({ readonly kind: 'error' } & StatusAnswer)

/** Faults of a watch as a whole, which need no event to strike. */
export type WatchEnd = Extract<WatchFault, 'freeze' | 'gone' | 'end' | 'cut'>

export class WatchRule extends Rule {
  readonly fault: WatchFault
  readonly pick: (event: ProxiedEvent) => boolean

  constructor(
    fault: WatchFault,
    pick: ((event: ProxiedEvent) => boolean) | undefined,
    ...rest: ConstructorParameters<typeof Rule>
  ) {
    super(...rest)
    this.fault = fault
    this.pick = pick ?? (({ type }) => type !== 'BOOKMARK')
  }
}

/** Holds events back as long as a view is stale. */
export interface Holding {
  holdsBack(request: SeenRequest, event: ProxiedEvent): Promise<void> | undefined
}

/** One watch on its way to the client, event by event. */
export class WatchStream {
  readonly request: SeenRequest
  readonly #reply: ServerResponse
  readonly #rules: () => readonly WatchRule[]
  readonly #holding: Holding
  readonly #swapWaitsMs: number
  #held: string | undefined
  #timer: NodeJS.Timeout | undefined
  #over = false

  constructor(
    request: SeenRequest,
    reply: ServerResponse,
    rules: () => readonly WatchRule[],
    holding: Holding,
    swapWaitsMs: number,
  ) {
    this.request = request
    this.#reply = reply
    this.#rules = rules
    this.#holding = holding
    this.#swapWaitsMs = swapWaitsMs
  }

  /** Whether a rule is for this watch. */
  isOf(when: Match): boolean {
    return matches(when, this.request)
  }

  /** Sends on what the server sends, until either ends. Throws where the server breaks off. */
  async pipe(source: Readable): Promise<void> {
    try {
      await this.#pipe(source)
    } catch (error) {
      // behind a frozen watch the server may come and go
      if (!this.#over) throw error
    }
  }

  async #pipe(source: Readable): Promise<void> {
    let rest = ''
    source.setEncoding('utf8')
    for await (const text of source) {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        await this.#pass(line)
        if (this.#over || this.#reply.destroyed) return
      }
    }
    this.#release()
    if (!this.#over) this.#reply.end(rest)
  }

  /** Strikes the watch as a whole, now. */
  strike(fault: WatchEnd, rule: Rule): void {
    if (this.#over || this.#reply.destroyed) return
    this.#over = true
    clearTimeout(this.#timer)
    if (fault === 'freeze') void rule.removed.then(() => cut(this.#reply))
    else if (fault === 'cut') cut(this.#reply)
    else if (fault === 'end') this.#reply.end()
    else this.#error({ status: 410, message: 'too old resource version (by the fault proxy)' })
  }

  async #pass(line: string): Promise<void> {
    const event: ProxiedEvent = JSON.parse(line)
    await this.#holding.holdsBack(this.request, event)
    // struck as a whole meanwhile
    if (this.#over) return
    let copies = 1
    let swapped = false
    for (const rule of this.#rules()) {
      if (!this.isOf(rule.when) || !rule.pick(event) || !rule.claims()) continue
      const { fault } = rule
      if (fault === 'drop') copies = 0
      else if (fault === 'duplicate') copies += 1
      else if (fault === 'swap') swapped = true
      else if (fault === 'truncate') return this.#truncate(line)
      else if (typeof fault === 'string') return this.strike(fault, rule)
      else if (fault.kind === 'error') return this.#error(fault)
      else await moment(fault.ms)
      if (this.#over) return
    }
    if (copies === 0) return
    const text = `${line}\n`.repeat(copies)
    if (swapped && this.#held === undefined) this.#hold(text)
    else this.#send(text)
  }

  #hold(text: string): void {
    this.#held = text
    this.#timer = setTimeout(() => this.#release(), this.#swapWaitsMs)
  }

  #send(text: string): void {
    this.#reply.write(text)
    this.#release()
  }

  #release(): void {
    clearTimeout(this.#timer)
    const held = this.#held
    this.#held = undefined
    if (held !== undefined && !this.#over) this.#reply.write(held)
  }

  #truncate(line: string): void {
    this.#over = true
    this.#reply.end(line.slice(0, Math.floor(line.length / 2)))
  }

  #error(answer: StatusAnswer): void {
    this.#over = true
    this.#reply.end(`${JSON.stringify({ type: 'ERROR', object: statusObject(answer) })}\n`)
  }
}
