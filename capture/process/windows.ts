import { existsSync } from 'node:fs'
import { readdir, rename, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Logger } from 'pino'
import { cutTornTail, parseSegmentName, type RecoveredSegments } from '../journal/mod.ts'
import { RecordError, type Recorder } from '../record/mod.ts'
import { parseWindowName, type Shipper, type Spool, syncPath, systemCode, windowName } from '../ship/mod.ts'
import type { Lineage } from './lineage.ts'

/** Delays before a recording that failed is tried again. */
const RETRY_DELAY_MS_MIN = 1000
const RETRY_DELAY_MS_MAX = 60_000
/** A worker that dies, or a file that reads back wrong, may be a passing fault of the machine so many times. */
const MACHINE_FAULTS_MAX = 5
const MACHINE_FAULTS: readonly string[] = ['WorkerFailed', 'SealFailed']

export interface WindowsOptions {
  readonly spool: Spool
  readonly recorder: Recorder
  readonly shipper: Shipper
  readonly lineage: Pick<Lineage, 'of' | 'sealing'>
  readonly log: Logger
  readonly wait: (ms: number) => Promise<void>
  /** Replay did not end in the state that the live session ended in. */
  readonly onMismatch: (run: string, detail: string) => void
  /** A segment cannot be replayed at all, for instance because another version wrote it. It is kept aside. */
  readonly onUnrecordable: (run: string, detail: string) => void
}

/**
 * Takes closed segments, oldest first, through recording to the seal; the shipper takes them from there. A segment
 * whose replay does not end in its trailer's state is moved to `quarantine/`, with all that follow it in its run.
 */
export class Windows {
  readonly #options: WindowsOptions
  #queue: Promise<void> = Promise.resolve()
  #stopping = false
  readonly #stopped = Promise.withResolvers<void>()
  /** Runs of which nothing is published any more from this window on: its replay could not be vouched for. */
  readonly #quarantined = new Map<string, number>()
  /** Windows whose seal is in doubt: their segments stay. */
  readonly #remaking = new Set<string>()
  #thinning: Promise<void> = Promise.resolve()
  #isThinning = false

  constructor(options: WindowsOptions) {
    this.#options = options
  }

  /**
   * Takes what earlier processes left, whatever state they left it in. `found` is a listing made before this
   * process opened a segment of its own: an open segment would look torn.
   */
  async recover(found: RecoveredSegments): Promise<void> {
    const { spool, log } = this.#options
    const { segments, foreign } = found
    for (const path of foreign) log.warn({ path }, 'a file that is not ours lies in the journal: left alone')
    for (const name of await readdir(spool.paths.quarantine)) {
      const position = parseSegmentName(name)
      if (position !== undefined) this.#stopPublishing(position.run, position.window)
    }
    for (const { path } of segments) await this.#cutTail(path)
    const sealed = new Set(
      (await spool.listWindows()).filter((window) => window.hasSealed).map(({ name }) => name),
    )
    for (const { run, window } of segments) {
      if (!sealed.has(windowName(run, window))) this.add(run, window)
    }
  }

  /** A full disk keeps a tail where it is: it is read past in any case, and shipping is what makes room. */
  async #cutTail(path: string): Promise<void> {
    const { log } = this.#options
    const segment = basename(path)
    try {
      const cut = await cutTornTail(path)
      if (cut.done !== 'cut') return
      const { aside, tailBytes } = cut
      log.warn({ segment, aside, tailBytes }, 'cut a torn tail; it is kept aside')
    } catch (error) {
      if (!['ENOSPC', 'EDQUOT'].includes(systemCode(error))) throw error
      log.warn({ segment }, 'no room to keep a torn tail aside: it is left where it is')
    }
  }

  /** A segment is closed: records and seals it after those before it. */
  add(run: string, window: number): void {
    this.#queue = this.#queue.then(async () => {
      if (!this.#stopping) await this.#untilSealed(run, window)
    })
  }

  /**
   * The sealed files of a window are damaged: records it again from its segment. Resolves to whether that was
   * done; where the segment is gone the files stay as they are, and nothing of the window is published.
   */
  async remake(name: string, why: string): Promise<boolean> {
    const { spool, log } = this.#options
    const id = parseWindowName(name)
    if (id === undefined || this.#stopping) return false
    // a segment that is going to make room is gone before anybody asks for it, or stays
    this.#remaking.add(name)
    try {
      await this.#thinning
      if (!(await spool.unsealWindow(name))) {
        log.error({ window: name }, `sealed files are damaged and the segment is gone, they are kept: ${why}`)
        return false
      }
      log.error({ window: name }, `sealed files are damaged, the window is recorded again: ${why}`)
      this.add(id.run, id.window)
      await this.#queue
      return !this.#stopping
    } finally {
      this.#remaking.delete(name)
    }
  }

  /** Makes room: deletes segments of sealed windows, oldest first, until so many bytes are freed. */
  thin(bytesToFree: number): void {
    if (this.#isThinning || this.#stopping) return
    this.#isThinning = true
    const { spool, log } = this.#options
    this.#thinning = (async () => {
      try {
        const freedBytes = await spool.dropSegments(bytesToFree, (name) => this.#remaking.has(name))
        if (freedBytes > 0) {
          log.info({ freedBytes }, 'the spool is half full: segments of sealed windows were deleted')
        }
      } catch (error) {
        log.warn(
          { error: String(error) },
          'segments of sealed windows cannot be deleted; tried again in a second',
        )
      } finally {
        this.#isThinning = false
      }
    })()
  }

  /** Resolves when all that was added is sealed. */
  async settled(): Promise<void> {
    await this.#queue
  }

  /** What waits stays for the next start. */
  stop(): void {
    this.#stopping = true
    this.#stopped.resolve()
  }

  async #untilSealed(run: string, window: number): Promise<void> {
    const name = windowName(run, window)
    let delayMs = RETRY_DELAY_MS_MIN
    let faults = 0
    while (!this.#stopping) {
      try {
        return await this.#seal(run, window, name)
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error)
        const code = codeOf(error)
        if (MACHINE_FAULTS.includes(code)) faults++
        if (!passes(code) && (!MACHINE_FAULTS.includes(code) || faults >= MACHINE_FAULTS_MAX)) {
          if (await this.#giveUp(run, window, name, message)) return
        }
        const fields = { window: name, code, delayMs }
        this.#options.log.error(fields, `recording failed, it is tried again: ${message}`)
      }
      await Promise.race([this.#options.wait(delayMs), this.#stopped.promise])
      delayMs = Math.min(delayMs * 2, RETRY_DELAY_MS_MAX)
    }
  }

  /**
   * The same inputs will fail alike: the segment is kept aside with those that follow it, and others go on. Returns
   * whether it could be moved; where it could not, all is tried again.
   */
  async #giveUp(run: string, window: number, name: string, message: string): Promise<boolean> {
    const { log, onUnrecordable } = this.#options
    try {
      await this.#putAside(name, 'quarantine')
    } catch (error) {
      log.error({ window: name, error: String(error) }, 'the segment cannot be moved to quarantine')
      return false
    }
    log.error({ window: name }, `quarantined, it cannot be recorded: ${message}`)
    this.#stopPublishing(run, window)
    onUnrecordable(run, `${name} cannot be recorded: ${message}`)
    return true
  }

  async #seal(run: string, window: number, name: string): Promise<void> {
    const { spool, recorder, shipper, log, lineage } = this.#options
    if (!existsSync(spool.segmentPath(name))) {
      return log.error(
        { window: name },
        'the segment of this window is gone: somebody deleted it, its data is lost',
      )
    }
    if (window >= (this.#quarantined.get(run) ?? Number.POSITIVE_INFINITY)) {
      log.error({ window: name }, 'quarantined: it descends from a window whose replay is not vouched for')
      return await this.#putAside(name, 'quarantine')
    }
    // may wait for the pod that this one succeeds
    const known = await Promise.race([lineage.of(run), this.#stopped.promise])
    if (known === undefined) return
    const outDir = await spool.makeTmp(name)
    try {
      const segmentPath = spool.segmentPath(name)
      const outcome = await recorder.record({ segmentPath, outDir, prefix: '', lineage: known })
      if (outcome.outcome === 'empty' && outcome.damaged) {
        log.error(
          { window: name },
          `nothing of this segment can be read, it is kept aside: ${outcome.detail}`,
        )
        return await this.#putAside(name, 'torn')
      }
      if (outcome.outcome === 'empty') {
        log.warn({ window: name }, `nothing was captured in this segment: ${outcome.detail}`)
        return await spool.dropWindow(name)
      }
      if (outcome.outcome === 'mismatch') {
        log.error({ window: name }, `quarantined: ${outcome.detail}`)
        await this.#putAside(name, 'quarantine')
        this.#stopPublishing(run, window)
        return this.#options.onMismatch(run, outcome.detail)
      }
      if (outcome.damage !== '') {
        log.error({ window: name }, `the journal is damaged, coverage ends there: ${outcome.damage}`)
      }
      await lineage.sealing(outcome.manifest)
      await spool.sealWindow(outDir, name)
      const rows = Object.fromEntries(outcome.manifest.objects.map(({ stream, rows }) => [stream, rows]))
      log.info({ window: name, rows, witness: outcome.manifest.witness }, 'window sealed')
      shipper.notify()
    } finally {
      await rm(outDir, { recursive: true, force: true })
    }
  }

  #stopPublishing(run: string, window: number): void {
    this.#quarantined.set(run, Math.min(window, this.#quarantined.get(run) ?? window))
  }

  /** Moves a segment out of the journal, to where nobody deletes it. */
  async #putAside(name: string, where: 'quarantine' | 'torn'): Promise<void> {
    const { spool } = this.#options
    const { paths } = spool
    const from = spool.segmentPath(name)
    // a whole segment is a tail that was cut at byte 0
    const to = where === 'torn' ? `${basename(from)}.0.torn` : basename(from)
    await rename(from, join(paths[where], to))
    await syncPath(paths[where])
    await syncPath(paths.journal)
    if (where === 'quarantine') this.#options.shipper.notify()
  }
}

/** A code of the system, such as ENOSPC: the cause may pass. */
function passes(code: string): boolean {
  return /^E[A-Z0-9]+$/.test(code)
}

function codeOf(error: unknown): string {
  if (error instanceof RecordError) return error.code
  return systemCode(error)
}
