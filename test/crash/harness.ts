/**
 * A capture's own parts put together as the capture does it (run, windows, recorder, shipper, local bucket), with
 * inputs out of segments instead of sockets. A life takes up what the spool holds, lives through the given inputs,
 * ships everything, and ends; it kills itself at the given occurrence of the given step.
 */

import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { setImmediate as turn } from 'node:timers/promises'
import { pino } from 'pino'
import { z } from 'zod'
import { exchangeByName } from '../../capture/exchange/mod.ts'
import { acquireSpoolLock, makeRunId, recoverSegments, SegmentReader } from '../../capture/journal/mod.ts'
import { Run } from '../../capture/process/run.ts'
import { Windows } from '../../capture/process/windows.ts'
import { Recorder, type RecordOptions, recordSegment } from '../../capture/record/mod.ts'
import { LocalBucket, openSpool, Shipper, Spool } from '../../capture/ship/mod.ts'
import { lineageIn } from '../support/lineage.ts'
import { GUARDS, NO_REQUESTS, NO_ROWS } from '../support/session.ts'
import { acknowledge } from './acks.ts'
import { SteppedJournal } from './stepped-journal.ts'

/** What one life is to do. */
export const Job = z.object({
  spool: z.string(),
  bucket: z.string(),
  /** Segments of one run, in order, whose inputs are lived through; none for a mere recovery. */
  segments: z.array(z.string()),
  rotationSeconds: z.number(),
  /** Where to die; no step for a life to its end. */
  step: z.string(),
  occurrence: z.number(),
  /**
   * The journal's timers run by the time of the inputs, and recordings are made in this thread: the system calls of
   * two such lives come in nearly one order.
   */
  paced: z.boolean(),
})
export type Job = z.infer<typeof Job>

/** Inputs between two turns of the loop: small, so that windows are recorded while others are journalled. */
const INPUTS_PER_TURN = 16

/** Lives one life. Throws where something went wrong that no fault of a disk explains. */
export async function liveThrough(job: Job): Promise<void> {
  await mkdir(job.spool, { recursive: true })
  const lock = acquireSpoolLock(job.spool)
  try {
    await new Harness(job).live()
  } finally {
    lock.release()
  }
}

class Harness {
  readonly #job: Job
  readonly #journal: SteppedJournal
  #occurrence = 0

  constructor(job: Job) {
    this.#job = job
    this.#journal = new SteppedJournal(this.#onStep)
  }

  async live(): Promise<void> {
    const { spool: directory, bucket, segments, paced } = this.#job
    const onStep = this.#onStep
    const opened = await openSpool(directory)
    const { paths } = opened
    const spool = new SteppedSpool(opened, onStep)
    const left = await recoverSegments(paths.journal)
    const log = pino({ level: 'warn' })
    const recorder = new SteppedRecorder(onStep, paced)
    const shipper = new Shipper({
      bucket: new LocalBucket(bucket, { onStep }),
      spool,
      timers: { nowMs: Date.now, setTimer: (ms, fire) => clearTimeout.bind(undefined, setTimeout(fire, ms)) },
      random: () => 0,
      log,
      hooks: { onStep: this.#onShipStep },
      onDamaged: (name, why) => windows.remake(name, why),
    })
    const windows = new Windows({
      spool,
      lineage: await lineageIn(opened, onStep),
      recorder,
      shipper,
      log,
      wait: (ms) => new Promise((done) => setTimeout(done, ms)),
      onUnrecordable: fail,
      onMismatch: fail,
    })
    await windows.recover(left)
    shipper.start()
    await this.#liveThroughInputs(segments, paths.journal, windows)
    await windows.settled()
    await shipper.drain()
    await shipper.stop()
    await recorder.close()
  }

  /** Called when something has just been done. */
  readonly #onStep = (step: string): void => {
    if (step !== this.#job.step) return
    this.#occurrence += 1
    if (this.#occurrence === this.#job.occurrence) process.kill(process.pid, 'SIGKILL')
  }

  readonly #onShipStep = (step: string, key: string): void => {
    if (step === 'manifest_proven') acknowledge({ committed: key })
    this.#onStep(step)
  }

  /** A run over the inputs of segments: what the feed does, without its waits. */
  async #liveThroughInputs(segments: readonly string[], dir: string, windows: Windows): Promise<void> {
    let run: Run | undefined
    let now = 0
    for (const path of segments) {
      const reader = await SegmentReader.open(path)
      const { header } = reader
      if (header === undefined) throw new Error(`${path} has no header`)
      now = Math.max(now, header.openedAt)
      run ??= this.#begin(header.exchange, header.symbol, () => now, dir, windows)
      for await (const batch of reader.batches()) {
        for (let i = 0; i < batch.length; i++) {
          now = batch[i].received
          if (this.#job.paced) await this.#journal.passTo(now)
          run.input(batch[i])
          if (i % INPUTS_PER_TURN === 0) await turn()
        }
      }
    }
    await run?.end('stopped')
  }

  #begin(exchange: string, symbol: string, now: () => number, journalDir: string, windows: Windows): Run {
    const id = makeRunId(now(), randomBytes)
    return new Run({
      run: id,
      journalDir,
      config: {
        exchange,
        symbol,
        streams: ['books', 'depth', 'trades', 'mark_price'],
        bookLevels: 20,
        guards: GUARDS,
      },
      exchange: exchangeByName(exchange),
      writer: { capture: '', uid: '', pod: '', node: '' },
      rotationSeconds: this.#job.rotationSeconds,
      clock: { now, anchor: () => undefined, wallDistance: () => 0 },
      requests: NO_REQUESTS,
      rows: NO_ROWS,
      onEnd: (reason) => fail('', reason),
      onHalt: (_reason, message) => fail('', message),
      onWindow: (window) => windows.add(id, window),
      onJournalError: (error) => fail('', error.message),
      fs: this.#journal,
      timer: this.#job.paced ? this.#journal.timer : undefined,
    })
  }
}

class SteppedSpool extends Spool {
  readonly #onStep: (step: string) => void

  constructor({ directory, paths }: Spool, onStep: (step: string) => void) {
    super(directory, paths)
    this.#onStep = onStep
  }

  override async makeTmp(name: string): Promise<string> {
    const made = await super.makeTmp(name)
    this.#onStep('recording_begun')
    return made
  }

  override async sealWindow(tmpDir: string, name: string): Promise<void> {
    await super.sealWindow(tmpDir, name)
    this.#onStep('sealed')
  }

  override dropWindow(name: string): Promise<void> {
    return super.dropWindow(name, this.#onStep)
  }
}

class SteppedRecorder extends Recorder {
  readonly #onStep: (step: string) => void
  readonly #inThisThread: boolean

  constructor(onStep: (step: string) => void, inThisThread: boolean) {
    super()
    this.#onStep = onStep
    this.#inThisThread = inThisThread
  }

  override async record(options: RecordOptions) {
    const outcome = await (this.#inThisThread ? recordSegment(options) : super.record(options))
    this.#onStep('recorded')
    return outcome
  }
}

function fail(_run: string, message: string): void {
  throw new Error(message)
}
