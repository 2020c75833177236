/**
 * The victim of steps.test.ts and syscalls.test.ts: a capture's own parts put together as the capture does it (run,
 * windows, recorder, shipper, local bucket), with inputs out of a segment instead of sockets. It takes up what the
 * spool holds, lives through the given inputs, ships everything, and ends. It kills itself with SIGKILL at the
 * given occurrence of the given step. Its one argument is a Job in JSON.
 */
import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { setImmediate as turn } from 'node:timers/promises'
import { pino } from 'pino'
import { z } from 'zod'
import { exchangeByName } from '../../capture/exchange/mod.ts'
import {
  acquireSpoolLock,
  type JournalFs,
  makeRunId,
  nodeJournalFs,
  recoverSegments,
  SegmentReader,
} from '../../capture/journal/mod.ts'
import { Run } from '../../capture/process/run.ts'
import { Windows } from '../../capture/process/windows.ts'
import { Recorder, type RecordOptions } from '../../capture/record/mod.ts'
import { LocalBucket, openSpool, Shipper, Spool } from '../../capture/ship/mod.ts'
import { GUARDS, NO_REQUESTS, NO_ROWS } from '../support/session.ts'

const Job = z.object({
  spool: z.string(),
  bucket: z.string(),
  /** Segments of one run, in order, whose inputs are lived through; none for a mere recovery. */
  segments: z.array(z.string()),
  rotationSeconds: z.number(),
  /** Where to die; no step for a life to its end. */
  step: z.string(),
  occurrence: z.number(),
})
export type Job = z.infer<typeof Job>

/** Inputs between two turns of the loop: small, so that windows are recorded while others are journalled. */
const INPUTS_PER_TURN = 16

const job = Job.parse(JSON.parse(process.argv[2] ?? ''))
let occurrence = 0

/** Called when something has just been done. */
function onStep(step: string): void {
  if (step !== job.step) return
  occurrence += 1
  if (occurrence === job.occurrence) process.kill(process.pid, 'SIGKILL')
}

async function then<T>(done: Promise<T>, step: string): Promise<T> {
  const result = await done
  onStep(step)
  return result
}

const journalFs: JournalFs = {
  async create(path) {
    const file = await then(nodeJournalFs.create(path), 'journal_created')
    return {
      write: (bytes) => then(file.write(bytes), 'journal_written'),
      datasync: () => then(file.datasync(), 'journal_synced'),
      truncate: (bytes) => file.truncate(bytes),
      close: () => then(file.close(), 'journal_closed'),
    }
  },
  syncDir: (path) => then(nodeJournalFs.syncDir(path), 'journal_named'),
}

class SteppedSpool extends Spool {
  override makeTmp(name: string) {
    return then(super.makeTmp(name), 'recording_begun')
  }

  override sealWindow(tmpDir: string, name: string) {
    return then(super.sealWindow(tmpDir, name), 'sealed')
  }

  override dropWindow(name: string) {
    return super.dropWindow(name, onStep)
  }
}

class SteppedRecorder extends Recorder {
  override record(options: RecordOptions) {
    return then(super.record(options), 'recorded')
  }
}

await mkdir(job.spool, { recursive: true })
const lock = acquireSpoolLock(job.spool)
const { directory, paths } = await openSpool(job.spool)
const spool = new SteppedSpool(directory, paths)
const left = await recoverSegments(paths.journal)
const log = pino({ level: 'warn' })
const recorder = new SteppedRecorder()
const shipper = new Shipper({
  bucket: new LocalBucket(job.bucket, { onStep }),
  spool,
  timers: { nowMs: Date.now, setTimer: (ms, fire) => clearTimeout.bind(undefined, setTimeout(fire, ms)) },
  random: () => 0,
  log,
  hooks: { onStep },
  onDamaged: (name, why) => windows.remake(name, why),
})
const windows = new Windows({
  spool,
  recorder,
  shipper,
  log,
  wait: (ms) => new Promise((done) => setTimeout(done, ms)),
  onUnrecordable: (_run, message) => {
    throw new Error(message)
  },
  onMismatch: fail,
})
await windows.recover(left)
shipper.start()
await live(job.segments)
await windows.settled()
await shipper.drain()
await shipper.stop()
await recorder.close()
lock.release()

/** A run over the inputs of segments: what the feed does, without its waits. */
async function live(segments: readonly string[]): Promise<void> {
  let run: Run | undefined
  let now = 0
  for (const path of segments) {
    const reader = await SegmentReader.open(path)
    const { header } = reader
    if (header === undefined) throw new Error(`${path} has no header`)
    now = Math.max(now, header.openedAt)
    run ??= begin(header.exchange, header.symbol, () => now)
    for await (const batch of reader.batches()) {
      for (let i = 0; i < batch.length; i++) {
        now = batch[i].received
        run.input(batch[i])
        if (i % INPUTS_PER_TURN === 0) await turn()
      }
    }
  }
  await run?.end('stopped')
}

function begin(exchange: string, symbol: string, now: () => number): Run {
  const id = makeRunId(now(), randomBytes)
  return new Run({
    run: id,
    journalDir: paths.journal,
    config: {
      exchange,
      symbol,
      streams: ['books', 'depth', 'trades', 'mark_price'],
      bookLevels: 20,
      guards: GUARDS,
    },
    exchange: exchangeByName(exchange),
    writer: { capture: '', uid: '', pod: '', node: '' },
    rotationSeconds: job.rotationSeconds,
    clock: { now, anchor: () => undefined, wallDistance: () => 0 },
    requests: NO_REQUESTS,
    rows: NO_ROWS,
    onEnd: (reason) => fail('', reason),
    onHalt: (_reason, message) => fail('', message),
    onWindow: (window) => windows.add(id, window),
    onJournalError: (error) => fail('', error.message),
    fs: journalFs,
  })
}

function fail(_run: string, message: string): void {
  throw new Error(message)
}
