/** One symbol of a run: its capture process, and the one after it, until it ends for good. */
import { join } from 'node:path'
import type { ProcessConfig } from '../../api/config.ts'
import { RECOVERED_AFTER_MS, readReport } from '../process/report.ts'
import type { CaptureStatus } from '../process/status.ts'
import { CaptureChild } from './child.ts'
import {
  eventsBetween,
  isUp,
  type LogLevel,
  lastEvidence,
  type RunEvent,
  type SymbolStatus,
} from './events.ts'
import { Gaps } from './gaps.ts'
import { reportOf, type Verdict, verdictOf } from './restart.ts'

const REPORT_FILE = 'report.json'

export type MemberEnd = 'ended' | 'terminal' | 'wrong_call'

export class Member {
  readonly symbol: string
  /** Resolves when no process of this symbol runs any more and none will. */
  readonly ended: Promise<MemberEnd>
  readonly #config: ProcessConfig
  readonly #tell: (event: RunEvent) => void
  readonly #resolveEnded: (end: MemberEnd) => void
  #child: CaptureChild | undefined
  #timer: NodeJS.Timeout | undefined
  #status: CaptureStatus | undefined
  /** Of the process before, while none runs. */
  #lastStatus: CaptureStatus | undefined
  /** What the last process said to have left unshipped, bytes; undefined while one runs, or where none said so. */
  #leftBytes: number | undefined
  /** Rows of the processes before this one. */
  #pastRows: Readonly<Record<string, number>> = {}
  readonly #gaps: Gaps
  /** Rows of sealed windows that are not committed yet. */
  readonly #sealedRows = new Map<string, Readonly<Record<string, number>>>()
  #state = 'starting'
  #windows = 0
  #attempts = 0
  /** Restarts since it was last up for long. */
  #failures = 0
  #upSinceMs: number | undefined
  #startedMs = 0
  #stopping = false

  constructor(config: ProcessConfig, tell: (event: RunEvent) => void) {
    const { promise, resolve } = Promise.withResolvers<MemberEnd>()
    this.ended = promise
    this.#resolveEnded = resolve
    this.symbol = config.symbol
    this.#gaps = new Gaps(config.symbol)
    this.#config = config
    this.#tell = tell
  }

  start(delayMs: number): void {
    this.#timer = setTimeout(() => this.#spawn(), delayMs)
  }

  /** Ends in order; called again: at once, with what was received safe in the spool. */
  stop(): void {
    this.#stopping = true
    clearTimeout(this.#timer)
    if (this.#child !== undefined) this.#child.kill('SIGTERM')
    // one that waits for its restart ends with what it halted for; one that is ending is judged by its end
    else if (this.#state === 'restarting') this.#finish('terminal', this.#state)
    else if (this.#attempts === 0) this.#finish('ended', 'ended')
  }

  /** For a process that does not even leave: its journal is safe against it. */
  kill(): void {
    this.#child?.kill('SIGKILL')
  }

  status(): SymbolStatus {
    const status = this.#status
    const last = status ?? this.#lastStatus
    const evidence = last === undefined ? undefined : lastEvidence(last, Date.now())
    return {
      symbol: this.symbol,
      state: this.#state,
      rows: addRows(this.#pastRows, rowsOf(status)),
      lastId: evidence?.id ?? '0',
      lastIdAgeMs: evidence?.ageMs ?? null,
      gaps: this.#gaps.count,
      restarts: Math.max(0, this.#attempts - 1),
      windows: this.#windows,
      windowsWaiting: this.#leftBytes === 0 ? 0 : (last?.spool.windowsWaiting ?? 0),
      unshippedBytes: this.#leftBytes ?? last?.spool.unshippedBytes ?? 0,
      ship: status?.ship.state ?? '',
    }
  }

  #spawn(): void {
    this.#leftBytes = undefined
    this.#attempts++
    this.#startedMs = Date.now()
    this.#state = 'starting'
    const child = new CaptureChild(this.#config, {
      onStatus: (status) => this.#onStatus(status),
      onNews: (news) => this.#tellAll(this.#gaps.news(news, this.#stopping)),
      onLog: (level, message, line, fields) => this.#onLog(level, message, line, fields),
      onEnd: (end) => void this.#onEnd(end),
    })
    this.#child = child
    const { pid } = child
    if (pid !== undefined) this.#tell({ event: 'started', symbol: this.symbol, pid, attempt: this.#attempts })
  }

  #onStatus(status: CaptureStatus): void {
    const before = this.#status
    this.#status = status
    this.#state = status.state
    this.#tellAll(eventsBetween(before, status))
    if (!isUp(status)) this.#upSinceMs = undefined
    else this.#upSinceMs ??= Date.now()
    if (this.#upSinceMs !== undefined && Date.now() - this.#upSinceMs >= RECOVERED_AFTER_MS)
      this.#failures = 0
    this.#tell({ event: 'status', ...this.status() })
  }

  #tellAll(events: readonly RunEvent[]): void {
    for (const event of events) this.#tell(event)
  }

  #onLog(level: LogLevel, message: string, line: string, fields: Readonly<Record<string, unknown>>): void {
    const { window, rows, outcome } = fields
    if (typeof window === 'string') {
      if (typeof rows === 'object' && rows !== null)
        this.#sealedRows.set(window, rows as Record<string, number>)
      if (outcome === 'committed') this.#onCommitted(window)
    }
    this.#tell({ event: 'log', symbol: this.symbol, level, message, line })
  }

  #onCommitted(window: string): void {
    this.#windows++
    this.#tell({ event: 'committed', symbol: this.symbol, window, rows: this.#sealedRows.get(window) ?? {} })
    this.#sealedRows.delete(window)
  }

  async #onEnd(end: { code: number | null; signal: string | null; lastWords: string }): Promise<void> {
    this.#child = undefined
    const report = reportOf(await readReport(join(this.#config.spool.dir, REPORT_FILE)), this.#startedMs)
    const isFirst = this.#attempts === 1 && this.#status === undefined
    const verdict = this.#judge(
      verdictOf({ ...end, report }, { failures: this.#failures, stopping: this.#stopping }),
      isFirst,
    )
    this.#pastRows = addRows(this.#pastRows, rowsOf(this.#status))
    // whatever was asked of it: a process that is gone covers nothing
    if (verdict.next !== 'ended') this.#tellAll(this.#gaps.processEnded(this.#status))
    this.#lastStatus = this.#status ?? this.#lastStatus
    this.#leftBytes = report?.unshippedBytes
    this.#status = undefined
    this.#upSinceMs = undefined
    this.#sealedRows.clear()
    this.#tell({
      event: 'ended',
      symbol: this.symbol,
      exitCode: end.code,
      ...(report === undefined ? {} : { unshippedBytes: report.unshippedBytes }),
      ...verdict,
    })
    // told to end meanwhile: there is no restart
    if (verdict.next === 'restart' && this.#stopping) return this.#finish('terminal', verdict.reason)
    if (verdict.next !== 'restart')
      return this.#finish(verdict.next, verdict.next === 'ended' ? 'ended' : verdict.reason)
    this.#failures++
    this.#state = 'restarting'
    this.start(verdict.delayMs)
  }

  /** A call is wrong from the start; a process that ran before ran into something new, which ends its symbol alone. */
  #judge(verdict: Verdict, isFirst: boolean): Verdict {
    return verdict.next === 'wrong_call' && !isFirst ? { ...verdict, next: 'terminal' } : verdict
  }

  #finish(end: MemberEnd, state: string): void {
    this.#state = state
    this.#resolveEnded(end)
  }
}

function rowsOf(status: CaptureStatus | undefined): Record<string, number> {
  return Object.fromEntries(Object.entries(status?.streams ?? {}).map(([name, { rows }]) => [name, rows]))
}

function addRows(
  a: Readonly<Record<string, number>>,
  b: Readonly<Record<string, number>>,
): Record<string, number> {
  const names = new Set([...Object.keys(a), ...Object.keys(b)])
  return Object.fromEntries([...names].map((name) => [name, (a[name] ?? 0) + (b[name] ?? 0)]))
}
