import { type ChildProcess, spawn } from 'node:child_process'
import { join, resolve } from 'node:path'
import type { ProcessConfig, ProcessStorage } from '../../api/config.ts'
import type { Told } from '../../capture/process/news.ts'
import type { CaptureStatus } from '../../capture/process/status.ts'

const MAIN = resolve(import.meta.dirname, '../../capture/main.ts')
const ENDS_WITHIN_MS = 180_000

export interface CaptureOptions {
  /** The program; default: capture/main.ts. */
  readonly main?: string
  readonly dir: string
  readonly symbol: string
  readonly endpoints: string
  readonly rotationSeconds?: number
  readonly streams?: readonly string[]
  readonly bookLevels?: number
  readonly guards?: { readonly staleAfterSeconds?: number; readonly auditSeconds?: number }
  /** Bytes that the spool may hold. */
  readonly spoolSizeLimitBytes?: number
  readonly terminationLog?: string
  /** Default: `dir`/data. */
  readonly storage?: ProcessStorage
  /** Of /livez, /readyz, /status and /metrics; none without it. */
  readonly port?: number
  /** What a pod is told besides, as fields of its configuration. */
  readonly pod?: Partial<
    Pick<ProcessConfig, 'writer' | 'predecessor' | 'handoffSeconds' | 'handoverSeconds' | 'annotationsFile'>
  >
  /** Environment besides ours. */
  readonly env?: Readonly<Record<string, string>>
}

/** A real capture process, below `dir`: its spool is `dir`/spool/<symbol>, its bucket `dir`/data. */
export class CaptureProcess {
  readonly child: ChildProcess
  readonly exit: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
  output = ''
  status: CaptureStatus | undefined

  constructor({
    main = MAIN,
    dir,
    symbol,
    endpoints,
    rotationSeconds = 5,
    streams,
    bookLevels,
    guards = {},
    spoolSizeLimitBytes,
    terminationLog,
    storage = { local: { path: join(dir, 'data') } },
    port,
    pod = {},
    env = {},
  }: CaptureOptions) {
    const config = {
      exchange: 'BinanceUsdm',
      symbol,
      rotationSeconds,
      ...(streams === undefined ? {} : { streams }),
      ...(bookLevels === undefined ? {} : { bookLevels }),
      guards,
      spool: { dir: join(dir, 'spool', symbol), sizeLimitBytes: spoolSizeLimitBytes },
      terminationLog,
      storage,
      port,
      endpoints,
      ...pod,
    }
    this.child = spawn(process.execPath, [main], {
      env: { ...process.env, ...env, L2CAP_CONFIG: JSON.stringify(config) },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    const keep = (text: Buffer) => {
      this.output += text
    }
    this.child.stdout?.on('data', keep)
    this.child.stderr?.on('data', keep)
    this.child.on('message', (message) => {
      const told = message as Told
      if (!('news' in told)) this.status = told
    })
    const { promise, resolve: ended } = Promise.withResolvers<{
      code: number | null
      signal: NodeJS.Signals | null
    }>()
    this.child.once('exit', (code, signal) => ended({ code, signal }))
    this.exit = promise
  }

  /** Resolves when the status satisfies the test. Throws where the process ends first, with what it printed. */
  async until(
    what: string,
    test: (status: CaptureStatus) => boolean,
    withinMs = 180_000,
  ): Promise<CaptureStatus> {
    const deadline = performance.now() + withinMs
    for (;;) {
      const status = this.status
      if (status !== undefined && test(status)) return status
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        throw new Error(`the capture ended before ${what}:\n${this.output.slice(-3000)}`)
      }
      if (performance.now() > deadline) {
        throw new Error(
          `${what} did not come within ${withinMs} ms; status ${JSON.stringify(status)}\n${this.output.slice(-3000)}`,
        )
      }
      await new Promise((wake) => setTimeout(wake, 20))
    }
  }

  /** Ends in order. Throws where it takes longer than three minutes, or ends otherwise. */
  async drain(): Promise<void> {
    this.child.kill('SIGTERM')
    const late = setTimeout(() => this.child.kill('SIGKILL'), ENDS_WITHIN_MS)
    const { code, signal } = await this.exit
    clearTimeout(late)
    if (code !== 0) throw new Error(`the capture ended with ${code ?? signal}:\n${this.output.slice(-3000)}`)
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL')
    await this.exit
  }
}
