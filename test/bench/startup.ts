/** From the start of the product's process to its first row, against the bare start of Node. */
import { spawnSync } from 'node:child_process'
import { type Sample, sampleOf } from './measure.ts'
import { CaptureProcess, Exchange, makeTemporary } from './processes.ts'

/** Milliseconds from the start of the process. */
export interface StartupResult {
  /** `node -e 0`, to its end. */
  readonly bare: Sample
  /** The socket is open at the exchange's side: modules are loaded, the spool is locked and read. */
  readonly connected: Sample
  /** The request for the first snapshot has arrived. */
  readonly asked: Sample
  /** The book is live: the first row of books exists. */
  readonly live: Sample
}

/** Starts the product `repeats` times, each with an empty spool, in turns with the bare one. */
export async function measureStartup(
  recording: string,
  repeats: number,
  env: Readonly<Record<string, string>> = {},
): Promise<StartupResult> {
  const bare: number[] = []
  const connected: number[] = []
  const asked: number[] = []
  const live: number[] = []
  const exchange = await Exchange.start({ recording, profile: 'merged', passes: 1, eventsMax: 0, speed: 1 })
  for (let repeat = 0; repeat < repeats; repeat++) {
    bare.push(bareStart())
    exchange.forget()
    const capture = await CaptureProcess.start(exchange.ready.endpoints, makeTemporary(), 300, { env })
    const liveAt = await capture.until('/readyz', 3, (status) => status === 200)
    connected.push((await capture.lives(exchange.when('connected'))) - capture.startedAt)
    asked.push((await capture.lives(exchange.when('asked'))) - capture.startedAt)
    live.push(liveAt - capture.startedAt)
    capture.child.kill('SIGTERM')
    await capture.end()
  }
  await exchange.stop()
  return {
    bare: sampleOf(bare),
    connected: sampleOf(connected),
    asked: sampleOf(asked),
    live: sampleOf(live),
  }
}

function bareStart(): number {
  const before = performance.now()
  spawnSync(process.execPath, ['-e', '0'])
  return performance.now() - before
}
