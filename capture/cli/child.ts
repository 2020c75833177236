/** One capture process: started, listened to, told to end. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { ProcessConfig } from '../../api/config.ts'
import type { Told, ToldNews } from '../process/news.ts'
import type { CaptureStatus } from '../process/status.ts'
import type { LogLevel } from './events.ts'

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url))
const LAST_WORDS_MAX = 4096
/** By which a process begins the sentence that it ends with. */
const LAST_WORDS_MARK = 'l2cap: '
const PINO_WARN = 40
const PINO_ERROR = 50

/** What the encoder frees does not stay with the process: 220 MB at rest became 155. */
const DEFAULT_ENV = {
  MALLOC_MMAP_THRESHOLD_: '131072',
  MALLOC_TRIM_THRESHOLD_: '131072',
}

export interface ChildListener {
  readonly onStatus: (status: CaptureStatus) => void
  /** Coverage of a stream ended, or began. */
  readonly onNews: (news: ToldNews) => void
  /** A line of its log; `fields` where it is one of JSON. */
  readonly onLog: (
    level: LogLevel,
    message: string,
    line: string,
    fields: Readonly<Record<string, unknown>>,
  ) => void
  /** The last call: no line comes after it. */
  readonly onEnd: (end: { code: number | null; signal: string | null; lastWords: string }) => void
}

/**
 * Starts a capture process. It has a process group of its own: a terminal's Ctrl-C goes to every process of the
 * foreground group, and a capture that gets it twice leaves without draining. It ends with this process all the
 * same, however that dies: it drains when its channel closes.
 */
export class CaptureChild {
  readonly #process: ChildProcess
  #lastWords = ''

  constructor(config: ProcessConfig, listener: ChildListener) {
    const level = process.env['L2CAP_LOG_LEVEL'] ?? ''
    this.#process = spawn(process.execPath, [MAIN], {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: {
        ...DEFAULT_ENV,
        ...process.env,
        L2CAP_CONFIG: JSON.stringify(config),
        // what it commits is told at this level
        L2CAP_LOG_LEVEL: ['trace', 'debug'].includes(level) ? level : 'info',
      },
    })
    this.#listen(listener)
  }

  /** Undefined where it could not be started. */
  get pid(): number | undefined {
    return this.#process.pid
  }

  /** SIGTERM drains, a second one leaves. */
  kill(signal: 'SIGTERM' | 'SIGKILL'): void {
    this.#process.kill(signal)
  }

  #listen(listener: ChildListener): void {
    const child = this.#process
    child.on('message', (message) => {
      const told = message as Told
      if ('news' in told) listener.onNews(told)
      else listener.onStatus(told)
    })
    eachLine(child.stdout, (line) => {
      const fields = fieldsOf(line)
      listener.onLog(levelOf(fields), String(fields['msg'] ?? line), line, fields)
    })
    eachLine(child.stderr, (line) => {
      if (line.startsWith(LAST_WORDS_MARK)) this.#lastWords = line.slice(LAST_WORDS_MARK.length)
      else if (this.#lastWords !== '')
        this.#lastWords = `${this.#lastWords}\n${line}`.slice(0, LAST_WORDS_MAX)
      else listener.onLog('warn', line, line, {})
    })
    let failure = ''
    child.once('error', (error) => {
      failure = `the process cannot be started: ${error.message}`
      if (child.pid === undefined) listener.onEnd({ code: 1, signal: null, lastWords: failure })
    })
    child.once('close', (code, signal) => {
      if (child.pid !== undefined) listener.onEnd({ code, signal, lastWords: this.#lastWords || failure })
    })
  }
}

function eachLine(stream: Readable | null, onLine: (line: string) => void): void {
  if (stream === null) return
  createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', (line) => {
    if (line !== '') onLine(line)
  })
}

function fieldsOf(line: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {} // a line of plain text is shown as it is
  }
}

function levelOf(fields: Readonly<Record<string, unknown>>): LogLevel {
  const level = Number(fields['level'] ?? PINO_WARN)
  return level >= PINO_ERROR ? 'error' : level >= PINO_WARN ? 'warn' : 'info'
}
