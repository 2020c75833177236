/**
 * `npm run bench [-- --quick] [--json]`: what capture and operator cost, as ratios against the obvious way measured in the
 * same run. Nothing here is a test with a time in it; two goals end it with exit code 1 when they are missed.
 */
import { readFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem, type } from 'node:os'
import { parseArgs } from 'node:util'
import { VERSION } from '../../capture/version.ts'
import { type BytesResult, measureBytes } from './bytes.ts'
import { type HotResult, measureHot } from './hot.ts'
import { type LatencyResult, measureLatency } from './latency.ts'
import { type MemoryResult, measureMemory } from './memory.ts'
import { measureOperator, type OperatorResult, type OperatorSkipped } from './operator.ts'
import { measurePipeline, type PipelineResult } from './pipeline.ts'
import { makeTemporary } from './processes.ts'
import { measureShipping, type ShippingResult, type ShippingSkipped } from './shipping.ts'
import { measureStartup, type StartupResult } from './startup.ts'
import { render } from './table.ts'
import { loadTraffic, RECORDINGS, type Traffic } from './traffic.ts'

const EVENTS_A_SECOND_MIN = 20_000
const RATIO_MIN = 10
const FIRST_ROW_MS_MAX = 700
const RESIDENT_MB_MAX = 150
const EXIT_MISSED = 1
const EXIT_WRONG_CALL = 2
/** The recording for the parts that run processes: the busier one. */
const BUSY = RECORDINGS[1]

const SIZES = {
  full: {
    slice: 1500,
    repeats: 9,
    repeatsObvious: 3,
    floods: 3,
    passes: 12,
    eventsObvious: 1500,
    starts: 5,
    latencySeconds: 32,
    shipping: { repeats: 3, rotationSeconds: 3, windows: 10, backlogWindows: 48, drains: 3 },
    operator: { captures: 50, symbolsEach: 10, idleRounds: 3 },
  },
  quick: {
    slice: 400,
    repeats: 5,
    repeatsObvious: 1,
    floods: 1,
    passes: 5,
    eventsObvious: 800,
    starts: 3,
    latencySeconds: 14,
    shipping: { repeats: 1, rotationSeconds: 1, windows: 3, backlogWindows: 12, drains: 1 },
    operator: { captures: 10, symbolsEach: 10, idleRounds: 2 },
  },
} as const

export interface Goal {
  readonly name: string
  readonly want: string
  readonly got: number
  readonly reached: boolean
  /** Missing it fails the bench. */
  readonly enforced: boolean
}

export interface Results {
  readonly machine: Machine
  readonly quick: boolean
  readonly hot: readonly HotResult[]
  readonly pipeline: readonly PipelineResult[]
  readonly latency: LatencyResult
  readonly startup: readonly { readonly name: string; readonly result: StartupResult }[]
  readonly memory: MemoryResult
  readonly shipping: ShippingResult | ShippingSkipped
  readonly operator: OperatorResult | OperatorSkipped
  readonly bytes: readonly BytesResult[]
  readonly goals: readonly Goal[]
  readonly seconds: number
}

type Machine = ReturnType<typeof describeMachine>

function describeMachine() {
  const versionOf = (name: string): string => {
    const text = readFileSync(new URL(`../../node_modules/${name}/package.json`, import.meta.url), 'utf8')
    return (JSON.parse(text) as { version: string }).version
  }
  return {
    cpu: cpus()[0]?.model ?? 'unknown processor',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 1e9),
    system: `${type()} ${release()}`,
    load: loadavg()[0].toFixed(1),
    node: process.version,
    v8: process.versions.v8,
    ws: versionOf('ws'),
    parquetWasm: versionOf('parquet-wasm'),
    arrow: versionOf('apache-arrow'),
    l2cap: VERSION,
  }
}

/** Runs a part and says on standard error how long it took. */
async function part<T>(name: string, run: () => T | Promise<T>): Promise<T> {
  const started = performance.now()
  const result = await run()
  process.stderr.write(`bench: ${name}: ${((performance.now() - started) / 1000).toFixed(1)} s\n`)
  return result
}

async function measureAll(quick: boolean): Promise<Results> {
  const started = performance.now()
  const machine = describeMachine()
  const sizes = quick ? SIZES.quick : SIZES.full
  const traffics = await part('recordings', async () => {
    const loaded: Traffic[] = []
    for (const recording of RECORDINGS) {
      const { raw, merged } = await loadTraffic(recording)
      loaded.push(raw, merged)
    }
    return loaded
  })
  const hot = await part('bytes to guarded book', () =>
    traffics.map((traffic) => measureHot(traffic, sizes.slice, sizes.repeats, sizes.repeatsObvious)),
  )
  const bytes = await part('bytes on disk', async () => {
    const results: BytesResult[] = []
    for (const traffic of traffics) results.push(await measureBytes(traffic))
    return results
  })
  const pipeline = await part('socket to Parquet', async () => {
    const { floods: repeats, passes, eventsObvious } = sizes
    const results: PipelineResult[] = []
    for (const profile of quick ? (['merged'] as const) : (['merged', 'raw'] as const)) {
      results.push(await measurePipeline(BUSY, profile, { repeats, passes, eventsObvious }))
    }
    return results
  })
  const latency = await part('socket to journal', () => measureLatency(BUSY, sizes.latencySeconds))
  const startup = await part('start to first row', () => measureStarts(sizes.starts, quick))
  const memory = await part('resident memory', () => measureMemory(BUSY, !quick))
  const shipping = await part('shipping to S3', () => measureShipping(BUSY, sizes.shipping))
  const operator = await part('operator', () => measureOperator(sizes.operator))
  const seconds = (performance.now() - started) / 1000
  const goals = goalsOf(hot, startup[0].result, memory)
  return {
    machine,
    quick,
    hot,
    pipeline,
    latency,
    startup,
    memory,
    shipping,
    operator,
    bytes,
    goals,
    seconds,
  }
}

/** As it is, and with Node's compile cache warm (its first start fills it). */
async function measureStarts(repeats: number, quick: boolean): Promise<Results['startup']> {
  const plain = await measureStartup(BUSY, repeats, { NODE_DISABLE_COMPILE_CACHE: '1' })
  if (quick) return [{ name: 'plain', result: plain }]
  const env = { NODE_COMPILE_CACHE: makeTemporary() }
  await measureStartup(BUSY, 1, env)
  return [
    { name: 'plain', result: plain },
    { name: 'compile cache', result: await measureStartup(BUSY, repeats, env) },
  ]
}

function goalsOf(hot: readonly HotResult[], startup: StartupResult, memory: MemoryResult): Goal[] {
  const slowest = Math.min(...hot.map(({ whole }) => 1e6 / whole.median))
  const ratio = Math.min(...hot.map(({ obvious, guarded }) => obvious.median / guarded.median))
  const resident = (memory.flush?.flushed.rssBytes ?? memory.minute.rssBytes) / 1e6
  return [
    {
      name: 'bytes to guards, events a second and core, on the slowest traffic',
      want: `at least ${EVENTS_A_SECOND_MIN}`,
      got: slowest,
      reached: slowest >= EVENTS_A_SECOND_MIN,
      enforced: true,
    },
    {
      name: 'bytes to guards, times the obvious way, at the least',
      want: `at least ${RATIO_MIN}`,
      got: ratio,
      reached: ratio >= RATIO_MIN,
      enforced: true,
    },
    {
      name: 'start of the process to first row, ms',
      want: `below ${FIRST_ROW_MS_MAX}`,
      got: startup.live.median,
      reached: startup.live.median < FIRST_ROW_MS_MAX,
      enforced: false,
    },
    {
      name: `resident, MB, ${memory.flush === undefined ? 'after a minute' : 'after the first flush'}`,
      want: `below ${RESIDENT_MB_MAX}`,
      got: resident,
      reached: resident < RESIDENT_MB_MAX,
      enforced: false,
    },
  ]
}

async function main(): Promise<number> {
  let values: { quick?: boolean; json?: boolean }
  try {
    values = parseArgs({ options: { quick: { type: 'boolean' }, json: { type: 'boolean' } } }).values
  } catch (error) {
    process.stderr.write(
      `bench: ${error instanceof Error ? error.message : String(error)}; known are --quick, --json\n`,
    )
    return EXIT_WRONG_CALL
  }
  const results = await measureAll(values.quick === true)
  process.stdout.write(`${values.json === true ? JSON.stringify(results, null, 2) : render(results)}\n`)
  return results.goals.some(({ enforced, reached }) => enforced && !reached) ? EXIT_MISSED : 0
}

process.exit(await main())
