/** The results as a person reads them. */

import type { Drain } from './backlog.ts'
import type { Quantiles } from './latency.ts'
import { type Sample, sampleOf } from './measure.ts'
import type { Goal, Results } from './run.ts'
import type { ShippingSide } from './shipping.ts'

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })
const MB = 1e6

const number = (value: number): string => (value >= 100 ? whole.format(value) : value.toPrecision(3))
const spread = ({ median, min, max }: Sample): string => `${number(median)} (${number(min)}-${number(max)})`
const rate = (cpuUs: number): string => whole.format(1e6 / cpuUs)
const percent = (share: number): string => `${share < 0 ? '' : '+'}${(share * 100).toFixed(0)}%`
const share = (part: number, all: number): string => `${((part / all) * 100).toFixed(1)}%`
const times = (slow: number, fast: number): string => `${number(slow / fast)}x`

/** Columns as wide as their widest cell; the first one to the left, the others to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)))
  return rows.map((row) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
      .join('  ')
      .trimEnd(),
  )
}

/** All of it; sections that were not measured are left out. */
export function render(results: Results): string {
  const { machine } = results
  const lines = [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB, ${machine.system}; load ${machine.load}`,
    `Node ${machine.node}, V8 ${machine.v8}, ws ${machine.ws}, parquet-wasm ${machine.parquetWasm}, apache-arrow ${machine.arrow}; l2cap ${machine.l2cap}`,
    'Recorded BTCUSDT; medians (min-max); "obvious": JSON.parse, a Map a side sorted on each event, an object a row.',
    ...hotLines(results),
    ...pipelineLines(results),
    ...latencyLines(results),
    ...startupLines(results),
    ...memoryLines(results),
    ...shippingLines(results),
    ...operatorLines(results),
    ...bytesLines(results),
    '',
    ...goalLines(results.goals),
    `${number(results.seconds)} s`,
  ]
  return lines.join('\n')
}

function hotLines({ hot }: Results): string[] {
  return [
    '\nBytes to book with all guards on, one core (CPU us an event; ratios over the same events)',
    ...table([
      [
        'traffic',
        'levels',
        'bytes',
        'us, all events',
        'events/s',
        'us, slice',
        'obvious',
        'ratio',
        'guards',
        'decode',
        'book',
      ],
      ...hot.map((one) => [
        one.traffic,
        number(one.levelsAnEvent),
        number(one.bytesAnEvent),
        spread(one.whole),
        rate(one.whole.median),
        spread(one.guarded),
        spread(one.obvious),
        times(one.obvious.median, one.guarded.median),
        percent(one.guarded.median / one.bare.median - 1),
        `${number(one.decode.median)} ${times(one.obviousDecode.median, one.decode.median)}`,
        `${number(one.book.median)} ${times(one.obviousBook.median, one.book.median)}`,
      ]),
    ]),
    `guards: what clock, silence and audits add to chain and checks, at an audit each 30 s (20 times the usual; ${hot.map(({ audits }) => audits).join(', ')} audits)`,
    `with rows staged in columns (the recorder's share): ${hot.map(({ traffic, staged, obvious }) => `${traffic} ${number(staged.median)} us, ${times(obvious.median, staged.median)}`).join('; ')}`,
  ]
}

function pipelineLines({ pipeline }: Results): string[] {
  if (pipeline.length === 0) return []
  return [
    '\nSocket to sealed Parquet in the bucket, a flood over a WebSocket (whole process, to its end)',
    ...table([
      ['traffic', '', 'events', 'events/s', 'CPU us/event', 'peak MB'],
      ...pipeline.flatMap(({ traffic, ours, obvious }) =>
        (
          [
            ['l2cap', ours],
            ['obvious', obvious],
          ] as const
        ).map(([who, side]) => [
          traffic,
          who,
          whole.format(side.events),
          spread(side.rate),
          spread(side.cpuUs),
          number(side.rssPeakBytes.median / MB),
        ]),
      ),
    ]),
    ...pipeline.map(
      ({ traffic, ours, obvious }) =>
        `${traffic}: ${times(ours.rate.median, obvious.rate.median)} events/s, ${times(obvious.cpuUs.median, ours.cpuUs.median)} less CPU`,
    ),
  ]
}

function latencyLines({ latency }: Results): string[] {
  const { events, rate, receive, journal, atRotation, elsewhere, rotations } = latency
  const line = (name: string, { p50, p99, max }: Quantiles) => [
    name,
    number(p50),
    number(p99),
    ...(max === undefined ? [] : [number(max)]),
  ]
  return [
    `\nLatency at ${whole.format(rate)} events/s through one process (ms; ${whole.format(events)} events, windows of ${latency.rotationSeconds} s)`,
    ...table([
      ['', 'p50', 'p99', 'largest'],
      line('sent to received', receive),
      [...line('received to journal, at most', journal), ''],
      line(`  in the 2 s after a rotation (${rotations})`, atRotation),
      line('  elsewhere', elsewhere),
    ]),
    'sent to received: above the quickest event of its window, because the clocks of two processes are 1 ms apart',
  ]
}

function startupLines({ startup }: Results): string[] {
  return [
    '\nStart of the process to the first row (ms)',
    ...table([
      ['', 'node -e 0', 'socket open', 'snapshot asked', 'first row'],
      ...startup.map(({ name, result }) => [
        name,
        spread(result.bare),
        spread(result.connected),
        spread(result.asked),
        spread(result.live),
      ]),
    ]),
    'between socket and snapshot: the wait for the first event of the book',
  ]
}

function memoryLines({ memory }: Results): string[] {
  const { minute, flush } = memory
  const heap = `JS heap ${number(minute.heapUsedBytes / MB)} of ${number(minute.heapTotalBytes / MB)}`
  const lines = [
    '\nResident memory, one symbol (MB, whole process)',
    `after a minute of traffic  ${number(minute.rssBytes / MB)}  (${heap}, external ${number(minute.externalBytes / MB)})`,
  ]
  if (flush === undefined) return lines
  return [
    ...lines,
    `after the first flush      ${number(flush.flushed.rssBytes / MB)}  (${whole.format(flush.rows)} rows of books20; the worker waits)`,
    `at rest, worker ended      ${number(flush.rested.rssBytes / MB)}`,
    `peak                       ${number(flush.rested.rssPeakBytes / MB)}`,
  ]
}

function operatorLines({ operator }: Results): string[] {
  const title = '\nOperator: a fleet on hollow pods, no pacing, all on this machine'
  if ('skipped' in operator) return [title, `skipped: ${operator.skipped}`]
  const { captures, symbols, createdMs, liveMs, plainMs, requests, idleLooks, idleRequests } = operator
  return [
    `${title}: ${symbols} symbols in ${captures} captures`,
    `all pods created           ${number(createdMs / 1000)} s, ${times(createdMs, plainMs)} a plain client's ${number(plainMs / 1000)} s`,
    `all live                   ${number(liveMs / 1000)} s; ${number(requests / symbols)} requests a symbol`,
    `a look, p99                at most ${number(operator.reconcileP99Ms)} ms`,
    `nothing changes            ${idleRequests} requests in ${whole.format(idleLooks)} looks`,
    `resident MB                ${number(operator.residentBytes / MB)}`,
  ]
}

function shippingLines({ shipping }: Results): string[] {
  const title = '\nShipping to S3 (versitygw on this machine) against a directory'
  if ('skipped' in shipping) return [title, `skipped: ${shipping.skipped}`]
  const { rate: pace, rotationSeconds, offsetMs, local, s3, drains } = shipping
  const line = (name: string, side: ShippingSide) => [
    name,
    number(side.commitMs.p50 / 1000),
    number(side.commitMs.p99 / 1000),
    spread(side.cpuMs),
    spread(side.firstCpuMs),
    number(side.residentBytes.median / MB),
    number(side.peakBytes.median / MB),
  ]
  // one capture of each is moved further by its compilers than by what it ships to
  const more =
    s3.cpuMs.repeats > 1
      ? percent((s3.cpuMs.median - local.cpuMs.median) / local.cpuMs.median)
      : 'not told by one capture of each'
  return [
    `${title}: two captures at once, ${whole.format(pace)} events/s, windows of ${rotationSeconds} s (${s3.windows} each)`,
    ...table([
      ['', 'rotation to commit s, p50', 'p99', 'CPU ms/window', 'CPU ms to the first', 'resident MB', 'peak'],
      line('directory', local),
      line('S3', s3),
    ]),
    `S3: CPU of the whole capture ${more}; resident ${times(s3.residentBytes.median, local.residentBytes.median)}; of its time to the commit, ${number(offsetMs / 1000)} s are the wait that spreads captures`,
    ...drainLines(drains.local, drains.s3),
    `shipping alone, as in that backlog: ${share(cpuOf(drains.s3), s3.cpuMs.median)} of the CPU of the capture to S3, of that to a directory ${share(cpuOf(drains.local), local.cpuMs.median)}`,
  ]
}

/** Milliseconds a window. */
function cpuOf(drains: readonly Drain[]): number {
  return sampleOf(drains.map(({ cpuMs, windows }) => cpuMs / windows)).median
}

function drainLines(local: readonly Drain[], s3: readonly Drain[]): string[] {
  const median = (drains: readonly Drain[], of: (drain: Drain) => number) => sampleOf(drains.map(of)).median
  const line = (name: string, drains: readonly Drain[], tookMs: (drain: Drain) => number) => [
    name,
    ...[
      median(drains, (drain) => (drain.windows / tookMs(drain)) * 1000),
      median(drains, (drain) => drain.putBytes / MB / (tookMs(drain) / 1000)),
      median(drains, (drain) => drain.cpuMs / drain.windows),
      median(drains, ({ requests, windows }) => requests / windows),
      median(drains, ({ putBytes, windows }) => putBytes / windows / 1000),
      median(drains, ({ gotBytes, windows }) => gotBytes / windows / 1000),
    ].map(number),
  ]
  const busy = (drain: Drain) => drain.busyMs
  const slower = median(s3, busy) / median(local, busy)
  return [
    `a backlog of ${s3[0].windows} of those windows, after an outage`,
    ...table([
      ['', 'windows/s', 'MB/s', 'CPU ms/window', 'requests/window', 'kB put', 'kB read back'],
      line('directory', local, busy),
      line('S3, rests left out', s3, busy),
      line('S3, with rests', s3, ({ busyMs, restMs }) => busyMs + restMs),
    ]),
    `S3 takes ${number(slower)}x the time of the directory, and its rests ${number(median(s3, ({ restMs }) => restMs) / 1000)} s`,
  ]
}

function bytesLines({ bytes }: Results): string[] {
  return [
    '\nOn disk (windows of 300 s)',
    ...table([
      ['traffic', 'books20 B/row', 'depth B/row', 'journal B/event', 'payload', 'record CPU us/event'],
      ...bytes.map((one) => [
        one.traffic,
        ...['books20', 'depth'].map((name) =>
          number(one.streams.find(({ stream }) => stream === name)?.bytesARow ?? Number.NaN),
        ),
        number(one.journalBytesAnEvent),
        number(one.payloadBytesAnEvent),
        number(one.recordCpuUs),
      ]),
    ]),
  ]
}

function goalLines(goals: readonly Goal[]): string[] {
  return table(
    goals.map(({ name, want, got, reached, enforced }) => [
      `goal ${name}`,
      want,
      number(got),
      `${reached ? 'reached' : 'missed'}${enforced ? '' : ' (not enforced)'}`,
    ]),
  )
}
