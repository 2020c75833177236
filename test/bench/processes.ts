/** Starts the processes that are measured, and hears from them. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ProcessStorage } from '../../api/config.ts'
import { parseWindowName } from '../../api/names.ts'
import type { ExchangeNews, ExchangeOptions } from './exchange.ts'
import type { Usage } from './probe.ts'
import { SYMBOL } from './traffic.ts'

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url))
const CAPTURE_MAIN = here('../../capture/main.ts')
/** No part takes longer; a process that hangs is ended and the bench fails. */
const PROCESS_MS_MAX = 480_000

let temporary: string | undefined

/** An empty directory that goes with this process. */
export function makeTemporary(): string {
  if (temporary === undefined) {
    const dir = mkdtempSync(join(tmpdir(), 'l2cap-bench-'))
    process.once('exit', () => rmSync(dir, { recursive: true, force: true }))
    temporary = dir
  }
  return mkdtempSync(join(temporary, 'part-'))
}

/** A started exchange, for one client after another. */
export class Exchange {
  readonly ready: Extract<ExchangeNews, { news: 'ready' }>
  readonly #child: ChildProcess
  readonly #news: ExchangeNews[]
  readonly #heard: (() => void)[]

  static async start(options: ExchangeOptions): Promise<Exchange> {
    const child = spawn(process.execPath, [here('exchange.ts'), JSON.stringify(options)], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    const news: ExchangeNews[] = []
    const heard: (() => void)[] = []
    child.on('message', (message) => {
      news.push(message as ExchangeNews)
      for (const wake of heard.splice(0)) wake()
    })
    const gone = once(child, 'exit').then(() => {
      throw new Error('the exchange of the bench ended before it was ready')
    })
    while (news.length === 0) {
      await Promise.race([new Promise<void>((wake) => heard.push(wake)), gone])
    }
    gone.catch(() => undefined) // from here on it ends when it is stopped
    const [ready] = news
    if (ready.news !== 'ready') throw new Error(`the exchange said ${ready.news} before it was ready`)
    return new Exchange(child, ready, news, heard)
  }

  private constructor(
    child: ChildProcess,
    ready: Extract<ExchangeNews, { news: 'ready' }>,
    news: ExchangeNews[],
    heard: (() => void)[],
  ) {
    this.#child = child
    this.ready = ready
    this.#news = news
    this.#heard = heard
  }

  /** The next client comes: what was said of the one before is forgotten. */
  forget(): void {
    this.#news.length = 0
  }

  /** When the exchange first said it of this client, milliseconds since the epoch. */
  async when(what: 'connected' | 'asked' | 'flowing' | 'sent'): Promise<number> {
    for (;;) {
      const said = this.#news.find(({ news }) => news === what)
      if (said !== undefined && said.news !== 'ready') return said.at
      await new Promise<void>((wake) => this.#heard.push(wake))
    }
  }

  /** Lets a flood begin, for a client that has asked for its snapshot. */
  flood(): void {
    this.#child.send('flood')
  }

  async stop(): Promise<void> {
    const gone = once(this.#child, 'exit')
    this.#child.disconnect()
    await gone
  }
}

/** A measured process: the product's or the baseline's. */
export class Measured {
  readonly child: ChildProcess
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  readonly #usageFile: string
  readonly #ended: Promise<number | null>
  readonly #output: string[] = []

  constructor(args: readonly string[], dir: string, env: Readonly<Record<string, string>> = {}) {
    this.#usageFile = join(dir, 'usage.json')
    this.startedAt = performance.timeOrigin + performance.now()
    this.child = spawn(process.execPath, ['--import', here('probe.ts'), ...args], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { ...process.env, ...env, L2CAP_BENCH_USAGE: this.#usageFile },
    })
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.on('data', (text: Buffer) => {
        this.#output.push(text.toString('utf8'))
        this.onOutput()
      })
    }
    const late = setTimeout(() => this.child.kill('SIGKILL'), PROCESS_MS_MAX)
    this.#ended = once(this.child, 'exit').then(([code]) => {
      clearTimeout(late)
      return code as number | null
    })
  }

  /** All that it has said until now. */
  get output(): string {
    return this.#output.join('')
  }

  /** It has said more. */
  protected onOutput(): void {}

  usage(): Promise<Usage> {
    const { promise, resolve } = Promise.withResolvers<Usage>()
    const listen = (message: unknown) => {
      // the product tells its status on the same channel
      if (typeof message !== 'object' || message === null || !('usage' in message)) return
      this.child.off('message', listen)
      resolve(message.usage as Usage)
    }
    this.child.on('message', listen)
    this.child.send('usage')
    return this.lives(promise)
  }

  /** Waits for something that needs this process. Throws, with what it said, where it ends before. */
  async lives<T>(promise: Promise<T>): Promise<T> {
    const gone = this.#ended.then(async (code) => {
      await this.end()
      throw new Error(`a measured process ended with ${code}, too early`)
    })
    gone.catch(() => undefined) // later on it ends as it should
    return await Promise.race([promise, gone])
  }

  /** Waits for its end; gives its last usage and when it ended. Throws where it did not end with 0. */
  async end(): Promise<{ usage: Usage; endedAt: number }> {
    const code = await this.#ended
    const endedAt = performance.timeOrigin + performance.now()
    if (code !== 0) throw new Error(`a measured process ended with ${code}:\n${this.output.slice(-2000)}`)
    return { usage: JSON.parse(readFileSync(this.#usageFile, 'utf8')) as Usage, endedAt }
  }
}

/** A window whose local files are gone: it was proven before. */
export interface ShippedWindow {
  readonly window: number
  /** Milliseconds since the epoch, by the process's own log. */
  readonly atMs: number
}

export interface CaptureOptions {
  readonly env?: Readonly<Record<string, string>>
  /** Default: a directory beside the spool. */
  readonly storage?: ProcessStorage
}

/** The product's process, with a port and everything in `dir`. */
export class CaptureProcess extends Measured {
  readonly base: string
  readonly #dir: string
  readonly #heard: (() => void)[] = []

  static async start(
    endpoints: string,
    dir: string,
    rotationSeconds: number,
    { env = {}, storage = { local: { path: join(dir, 'bucket') } } }: CaptureOptions = {},
  ): Promise<CaptureProcess> {
    const port = await freePort()
    const config = {
      exchange: 'BinanceUsdm',
      symbol: SYMBOL,
      streams: ['books', 'depth'],
      bookLevels: 20,
      rotationSeconds,
      spool: { dir: join(dir, 'spool') },
      storage,
      endpoints,
      port,
    }
    return new CaptureProcess(port, dir, { ...env, L2CAP_CONFIG: JSON.stringify(config) })
  }

  private constructor(port: number, dir: string, env: Readonly<Record<string, string>>) {
    super([CAPTURE_MAIN], dir, env)
    this.base = `http://127.0.0.1:${port}`
    this.#dir = dir
  }

  get bucket(): string {
    return join(this.#dir, 'bucket')
  }

  /** Waits until so many windows were shipped; nothing is asked of the process meanwhile. */
  async shipped(count: number): Promise<readonly ShippedWindow[]> {
    for (;;) {
      const windows = this.#shippedWindows()
      if (windows.length >= count) return windows
      await this.lives(new Promise<void>((wake) => this.#heard.push(wake)))
    }
  }

  #shippedWindows(): ShippedWindow[] {
    const whole = this.output.split('\n').slice(0, -1)
    return whole
      .filter((line) => line.includes('"msg":"window shipped"'))
      .map((line) => {
        const { window, time } = JSON.parse(line) as { window: string; time: string }
        return { window: parseWindowName(window)?.window ?? Number.NaN, atMs: Date.parse(time) }
      })
  }

  protected override onOutput(): void {
    for (const wake of this.#heard.splice(0)) wake()
  }

  /** Polls until the test holds of an answer of the process's port. */
  async until(
    path: string,
    everyMs: number,
    test: (status: number, body: string) => boolean,
  ): Promise<number> {
    const deadline = Date.now() + PROCESS_MS_MAX
    for (; Date.now() < deadline; await pause(everyMs)) {
      try {
        const response = await fetch(this.base + path)
        if (test(response.status, await response.text())) return performance.timeOrigin + performance.now()
      } catch (error) {
        // not listening yet, or no more: its end tells which, and why
        if (this.child.exitCode === null) continue
        await this.end()
        throw error
      }
    }
    throw new Error(`${path} of the capture did not become what was waited for`)
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const address = server.address()
  await new Promise((closed) => server.close(closed))
  if (address === null || typeof address === 'string') throw new Error('no free port')
  return address.port
}
