/** What a row and an event weigh on disk: recorded traffic through the run, its journal, and the recorder. */
import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { exchangeByName } from '../../capture/exchange/mod.ts'
import { segmentName } from '../../capture/journal/mod.ts'
import { Run } from '../../capture/process/run.ts'
import { recordSegment } from '../../capture/record/mod.ts'
import type { FetchRequest } from '../../capture/session/mod.ts'
import { GUARDS, NO_REQUESTS, NO_ROWS } from '../support/session.ts'
import { Answers, CONFIG, inputsOf } from './drive.ts'
import { makeTemporary } from './processes.ts'
import type { Traffic } from './traffic.ts'

const RUN_ID = '20261122T120000000Z-0badcafe'
const ROTATION_SECONDS = 300

export interface BytesResult {
  readonly traffic: string
  readonly windows: number
  /** Bytes of the Parquet files a row, by stream, and their rows. */
  readonly streams: readonly { readonly stream: string; readonly rows: number; readonly bytesARow: number }[]
  /** Bytes of the segments an event, checkpoints and frames included; and of the frames' payloads alone. */
  readonly journalBytesAnEvent: number
  readonly payloadBytesAnEvent: number
  /** CPU microseconds an event of recording: replay, staging, encoding, reading back. */
  readonly recordCpuUs: number
}

/** Journals the traffic in windows of its own receive times. Gives the number of windows. */
export async function journalTraffic(traffic: Traffic, dir: string): Promise<number> {
  let now = traffic.events[0].received
  let request: FetchRequest | undefined
  let windows = 0
  const run = new Run({
    run: RUN_ID,
    journalDir: dir,
    // an audit writes the book whole: one a window here, one in two windows as usual
    config: { ...CONFIG, guards: { ...GUARDS, auditSeconds: ROTATION_SECONDS } },
    exchange: exchangeByName('BinanceUsdm'),
    writer: { capture: '', uid: '', pod: '', node: '' },
    rotationSeconds: ROTATION_SECONDS,
    clock: { now: () => now, anchor: () => {}, wallDistance: () => 0 },
    requests: {
      ...NO_REQUESTS,
      fetch: (asked) => {
        request = asked
      },
    },
    rows: NO_ROWS,
    onEnd: (reason) => {
      throw new Error(`the run ended: ${reason}`)
    },
    onHalt: (reason, message) => {
      throw new Error(`${reason}: ${message}`)
    },
    onWindow: () => {
      windows++
    },
    onJournalError: (error) => {
      throw error
    },
  })
  const asked = () => {
    const latest = request
    request = undefined
    return latest
  }
  let inputs = 0
  for (const input of inputsOf(traffic, new Answers(traffic), asked)) {
    now = input.received
    run.input(input)
    // lets the journal write: nothing waits for a disk on this path
    if (++inputs % 256 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  if (run.session.counters.values.gaps > 0) throw new Error(`"${traffic.name}" did not stay live`)
  await run.end('stopped')
  return windows
}

export async function measureBytes(traffic: Traffic): Promise<BytesResult> {
  const dir = makeTemporary()
  const windows = await journalTraffic(traffic, dir)
  const totals = new Map<string, { rows: number; bytes: number }>()
  let journalBytes = 0
  const before = process.cpuUsage()
  for (let window = 0; window < windows; window++) {
    const segmentPath = join(dir, segmentName(RUN_ID, window))
    journalBytes += statSync(segmentPath).size
    const outDir = join(dir, `out-${window}`)
    mkdirSync(outDir)
    const outcome = await recordSegment({ segmentPath, outDir, prefix: '' })
    if (outcome.outcome !== 'recorded') throw new Error(`window ${window}: ${outcome.detail}`)
    for (const { stream, rows, bytes } of outcome.manifest.objects) {
      const total = totals.get(stream) ?? { rows: 0, bytes: 0 }
      totals.set(stream, { rows: total.rows + rows, bytes: total.bytes + bytes })
    }
  }
  const { user, system } = process.cpuUsage(before)
  const events = traffic.events.length
  const payloadBytes = traffic.events.reduce((sum, { payload }) => sum + payload.length, 0)
  return {
    traffic: traffic.name,
    windows,
    streams: [...totals]
      .filter(([stream]) => stream !== 'coverage')
      .map(([stream, { rows, bytes }]) => ({ stream, rows, bytesARow: bytes / rows })),
    journalBytesAnEvent: journalBytes / events,
    payloadBytesAnEvent: payloadBytes / events,
    recordCpuUs: (user + system) / events,
  }
}
