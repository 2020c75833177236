import { existsSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Logger } from 'pino'
import { cutTornTail, type RecoveredSegments } from '../journal/mod.ts'
import { RecordError, type Recorder } from '../record/mod.ts'
import { type Shipper, type Spool, syncPath, systemCode, windowName } from '../ship/mod.ts'

/** Delays before a recording that failed is tried again. */
const RETRY_DELAY_MS_MIN = 1000
const RETRY_DELAY_MS_MAX = 60_000

export interface WindowsOptions {
  readonly spool: Spool
  readonly recorder: Recorder
  readonly shipper: Shipper
  readonly log: Logger
  readonly wait: (ms: number) => Promise<void>
  /** Replay did not end in the state that the live session ended in. */
  readonly onMismatch: (run: string, detail: string) => void
}

/**
 * Takes closed segments, oldest first, through recording to the seal; the shipper takes them from there. A segment
 * whose replay does not end in its trailer's state is moved to `quarantine/`, with all that follow it in its run.
 */
export class Windows {
  readonly #options: WindowsOptions
  #queue: Promise<void> = Promise.resolve()
  #waiting = 0
  #stopping = false
  /** Runs of which nothing is published any more. */
  readonly #quarantined = new Set<string>()

  constructor(options: WindowsOptions) {
    this.#options = options
  }

  /** Closed segments that are not sealed yet. */
  get waiting(): number {
    return this.#waiting
  }

  /**
   * Takes what earlier processes left, whatever state they left it in. `found` is a listing made before this
   * process opened a segment of its own: an open segment would look torn.
   */
  async recover(found: RecoveredSegments): Promise<void> {
    const { spool, log } = this.#options
    const { segments, foreign } = found
    for (const path of foreign) log.warn({ path }, 'a file that is not ours lies in the journal: left alone')
    for (const segment of segments) {
      const cut = await cutTornTail(segment.path)
      if (cut.done !== 'cut') continue
      const { aside, tailBytes } = cut
      log.warn({ segment: basename(segment.path), aside, tailBytes }, 'cut a torn tail; it is kept aside')
    }
    const sealed = new Set(
      (await spool.listWindows()).filter((window) => window.hasSealed).map(({ name }) => name),
    )
    for (const { run, window } of segments) {
      if (!sealed.has(windowName(run, window))) this.add(run, window)
    }
  }

  /** A segment is closed: records and seals it after those before it. */
  add(run: string, window: number): void {
    this.#waiting++
    this.#queue = this.#queue.then(async () => {
      if (!this.#stopping) await this.#untilSealed(run, window)
      this.#waiting--
    })
  }

  /** Resolves when all that was added is sealed. */
  async settled(): Promise<void> {
    await this.#queue
  }

  /** What waits stays for the next start. */
  stop(): void {
    this.#stopping = true
  }

  async #untilSealed(run: string, window: number): Promise<void> {
    const name = windowName(run, window)
    for (
      let delayMs = RETRY_DELAY_MS_MIN;
      !this.#stopping;
      delayMs = Math.min(delayMs * 2, RETRY_DELAY_MS_MAX)
    ) {
      try {
        return await this.#seal(run, name)
      } catch (error) {
        const { message, code } =
          error instanceof Error ? (error as NodeJS.ErrnoException) : { message: String(error), code: '' }
        this.#options.log.error(
          { window: name, code, delayMs },
          `recording failed, it is tried again: ${message}`,
        )
        if (!(error instanceof RecordError) && systemCode(error) === undefined) throw error
      }
      await this.#options.wait(delayMs)
    }
  }

  async #seal(run: string, name: string): Promise<void> {
    const { spool, recorder, shipper, log } = this.#options
    if (this.#quarantined.has(run)) return this.#quarantine(name)
    if (!existsSync(spool.segmentPath(name))) {
      return log.error(
        { window: name },
        'the segment of this window is gone: somebody deleted it, its data is lost',
      )
    }
    const outDir = await spool.makeTmp(name)
    try {
      const outcome = await recorder.record({ segmentPath: spool.segmentPath(name), outDir, prefix: '' })
      if (outcome.outcome === 'empty') {
        log.warn({ window: name }, `nothing was captured in this segment: ${outcome.detail}`)
        return await spool.dropWindow(name)
      }
      if (outcome.outcome === 'mismatch') {
        log.error({ window: name }, `quarantined: ${outcome.detail}`)
        this.#quarantined.add(run)
        await this.#quarantine(name)
        return this.#options.onMismatch(run, outcome.detail)
      }
      await spool.sealWindow(outDir, name)
      const rows = Object.fromEntries(outcome.manifest.objects.map(({ stream, rows }) => [stream, rows]))
      log.info({ window: name, rows, witness: outcome.manifest.witness }, 'window sealed')
      shipper.notify()
    } finally {
      await rm(outDir, { recursive: true, force: true })
    }
  }

  async #quarantine(name: string): Promise<void> {
    const { paths } = this.#options.spool
    const from = this.#options.spool.segmentPath(name)
    await rename(from, join(paths.quarantine, basename(from)))
    await syncPath(paths.quarantine)
    await syncPath(paths.journal)
  }
}
