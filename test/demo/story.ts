/** Tells what happens as it happens: the faults, and beside them what the capture did about each. */
import { isHaltReason } from '../../api/reasons.ts'
import { isBookRows, type RunEvent } from '../../capture/cli/events.ts'
import { rowsText } from '../../capture/cli/text.ts'
import type { ExchangeEvent } from './exchange.ts'
import { answerOf, KILL, knownFault } from './faults.ts'
import type { Fault, Watch } from './watch.ts'

export class Story {
  readonly #watch: Watch
  readonly #startMs = Date.now()
  /** Books that were lost and are not live again, with what is told of the reason. */
  readonly #lost = new Map<string, string>()

  readonly #attempts = new Map<string, number>()

  constructor(watch: Watch) {
    this.#watch = watch
  }

  say(who: string, text: string): void {
    const seconds = ((Date.now() - this.#startMs) / 1000).toFixed(1).padStart(5)
    process.stdout.write(`${seconds} s  ${who.padEnd(9)} ${text}\n`)
  }

  onExchange(event: ExchangeEvent): void {
    if (event.event === 'end') return this.say('exchange', `${event.symbol} ends at id ${event.lastUpdateId}`)
    const { kind, symbol } = event
    const isAgain = this.#watch.faults.some((fault) => fault.kind === kind && fault.symbol === symbol)
    this.#watch.fault(kind, symbol)
    const known = knownFault(kind)
    this.say('exchange', `FAULT${isAgain ? ' again' : ''}: ${symbol}: ${known?.text ?? kind}`)
    if (isAgain) this.say('', `(sent again: ${known?.again ?? 'the capture has not noticed it so far'})`)
  }

  onKill(symbol: string, pid: number): void {
    this.#watch.fault(KILL, symbol)
    this.say('demo', `FAULT: ${symbol}: ${knownFault(KILL)?.text}, process ${pid}`)
  }

  onCapture(event: RunEvent): void {
    this.#watch.onCapture(event)
    switch (event.event) {
      case 'started':
        this.#attempts.set(event.symbol, event.attempt)
        if (event.attempt > 1)
          this.say(event.symbol, `started again as process ${event.pid}; takes up what was left`)
        return
      case 'live':
        return this.#live(event.symbol, event.since)
      case 'gap':
        return this.#fell(event)
      case 'paused':
        return this.say(event.symbol, `paused: ${event.reason}, ${event.why}`)
      case 'resumed':
        return this.say(event.symbol, 'goes on after the pause')
      case 'committed':
        return this.#committed(event)
      case 'shipping':
        return this.say(event.symbol, event.reason === null ? 'ships again' : `cannot ship: ${event.reason}`)
      case 'ended':
        return this.#ended(event)
      case 'stopping':
        return this.say('l2cap', 'stopping: closes the last windows and ships them')
      default:
        return
    }
  }

  #ended({ symbol, next, reason, message, exitCode }: RunEvent & { event: 'ended' }): void {
    if (next === 'ended') return this.say(symbol, message)
    this.#lost.set(symbol, reason)
    if (exitCode === null) return this.say(symbol, message)
    this.say(symbol, `its process has ended with exit code ${exitCode}, which stands for ${reason}`)
  }

  /** One line for what ends books and depth at once. A process that is gone is told of by its end. */
  #fell({ symbol, stream, reason }: RunEvent & { event: 'gap' }): void {
    if (reason === 'crash') return
    if (isHaltReason(reason)) {
      if (this.#lost.get(symbol) !== reason) this.say(symbol, `HALT "${reason}": ${answerOf(reason)}`)
      this.#lost.set(symbol, reason)
    } else if (isBookRows(stream)) {
      this.#lost.set(symbol, reason)
      this.say(symbol, `GAP "${reason}": ${answerOf(reason)}`)
    } else if (stream !== 'depth') this.say(symbol, `GAP "${reason}" of ${stream}`)
  }

  #committed({ symbol, window, rows }: RunEvent & { event: 'committed' }): void {
    // a run's id begins with the time of its begin
    const started = new Date(this.#watch.of(symbol).startedMs).toISOString().replace(/[-:.]/g, '')
    const isOld = window.slice(0, started.length) < started
    const isLater = (this.#attempts.get(symbol) ?? 1) > 1
    const whose = isOld ? ' of the process before' : isLater ? ' of the new process' : ''
    this.say(symbol, `window ${Number(window.slice(-6))}${whose} is in the bucket: ${rowsText(rows)}`)
  }

  #live(symbol: string, since: string): void {
    const lost = this.#lost.get(symbol)
    if (lost === undefined) {
      return this.say(symbol, 'live: a snapshot met the stream of changes; the book is proven from here on')
    }
    this.#lost.delete(symbol)
    const cause = this.#causeOf(symbol, lost)
    const after =
      cause === undefined ? '' : `, ${seconds(Math.max(0, Date.parse(since) - cause.atMs))} after the fault`
    this.say(symbol, `live again with a fresh snapshot${after}`)
  }

  /** Undefined where it is not known which: lies may be told again before one is found. */
  #causeOf(symbol: string, reason: string): Fault | undefined {
    const causes = this.#watch.faults.filter(
      (fault) =>
        fault.symbol === symbol &&
        (knownFault(fault.kind)?.reason === reason || (fault.kind === KILL && reason === 'Killed')),
    )
    return causes.length > 1 && reason === 'audit_mismatch' ? undefined : causes.at(-1)
  }
}

function seconds(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`
}
