/**
 * The metrics of one capture: what each is called, and which of our own counts it reads. Counts are of this process,
 * over all its runs. The table in docs/OPERATIONS.md is compared with this one.
 */
import { collectDefaultMetrics, Registry } from 'prom-client'
import type { ProcessConfig } from '../../api/config.ts'
import { END_REASONS, type EndedBy, HALT_EXIT_CODES, type HaltReason } from '../../api/reasons.ts'
import { levelsProven } from '../book/mod.ts'
import { BOOK_STATES, type CounterName } from '../session/mod.ts'
import { VERSION } from '../version.ts'
import { counter, gauge, histogram, type MetricSources } from './metrics-sources.ts'
import { DISK, SHIP } from './metrics-storage.ts'
import { by, type Metric, one, register } from './prom.ts'
import { UNASKED_ENDS } from './report.ts'

const HALTS = Object.keys(HALT_EXIT_CODES) as HaltReason[]
const ENDED_BY: readonly EndedBy[] = [...END_REASONS, ...HALTS]

type Counts = Readonly<Record<CounterName, number>>

/** Counters of a session whose names begin alike are one metric; what follows in the name is the label. */
const GROUPS: Readonly<Record<string, { readonly name: string; readonly help: string }>> = {
  audits_: { name: 'l2cap_audits_total', help: 'Audits of the book, by outcome.' },
  proofs_: { name: 'l2cap_silence_proofs_total', help: 'Questions about a silent book, by outcome.' },
  snapshots_: { name: 'l2cap_snapshots_total', help: 'Snapshots for a join, by outcome.' },
  take_overs: {
    name: 'l2cap_take_overs_total',
    help: 'Connections that were to take over before the old one is cut, by outcome.',
  },
}
/** Counters that are a metric of their own, elsewhere in the table. */
const SINGLE: readonly CounterName[] = [
  'messages',
  'depth_events',
  'trades',
  'mark_prices',
  'joins',
  'gaps',
  'parse_errors',
  'unknown_fields',
]

/** What a group counts, by the rest of the counter's name: `audits_clean` → `clean`, `take_overs` → `done`. */
function group(prefix: string, counts: Counts): [string, number][] {
  return Object.entries(counts)
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, count]) => [name.slice(prefix.length).replace(/^_/, '') || 'done', count])
}

/** Counters that no other metric shows, so that a new one shows at once. */
function others(counts: Counts): [string, number][] {
  return Object.entries(counts).filter(
    ([name]) =>
      !SINGLE.some((single) => single === name) &&
      !Object.keys(GROUPS).some((prefix) => name.startsWith(prefix)),
  )
}

function seconds(us: number): number {
  return us / 1e6
}

const SESSION: readonly Metric<MetricSources>[] = [
  counter('l2cap_frames_total', 'WebSocket messages taken.', ({ keeper }) => one(keeper.counters.messages)),
  counter('l2cap_received_bytes_total', 'Bytes of WebSocket messages, uncompressed.', ({ keeper }) =>
    one(keeper.receivedBytes),
  ),
  counter(
    'l2cap_events_total',
    'Events decoded, by what they are of.',
    ({ keeper: { counters } }) =>
      by('stream', [
        ['depth', counters.depth_events],
        ['trades', counters.trades],
        ['mark_price', counters.mark_prices],
      ]),
    ['stream'],
  ),
  counter(
    'l2cap_rows_total',
    'Rows made, by stream.',
    ({ keeper, config }) =>
      by(
        'stream',
        config.streams.map((stream) => [stream, keeper.rows.rows[stream]]),
      ),
    ['stream'],
  ),
  counter(
    'l2cap_gaps_total',
    'Ends of coverage, by stream and reason; an end in order is `stopped`.',
    ({ keeper, config }) =>
      // all of them from the start: what appears with its first gap has no increase that an alert could see
      config.streams.flatMap((stream) =>
        ENDED_BY.map((reason) => ({ labels: { stream, reason }, value: keeper.rows.gapsOf(stream, reason) })),
      ),
    ['stream', 'reason'],
  ),
  counter('l2cap_resyncs_total', 'Times that a live book was lost.', ({ keeper }) =>
    one(keeper.counters.gaps),
  ),
  counter('l2cap_joins_total', 'Times that a snapshot was joined with events.', ({ keeper }) =>
    one(keeper.counters.joins),
  ),
  ...Object.entries(GROUPS).map(([prefix, { name, help }]) =>
    counter(name, help, ({ keeper }) => by('outcome', group(prefix, keeper.counters)), ['outcome']),
  ),
  counter('l2cap_parse_errors_total', 'Frames and answers that did not decode.', ({ keeper }) =>
    one(keeper.counters.parse_errors),
  ),
  counter('l2cap_unknown_fields_total', 'Fields in frames that this version does not know.', ({ keeper }) =>
    one(keeper.counters.unknown_fields),
  ),
  counter(
    'l2cap_session_total',
    'What else a session counts, such as events dropped or repeated.',
    ({ keeper }) => by('what', others(keeper.counters)),
    ['what'],
  ),
  counter('l2cap_runs_total', 'Runs begun.', ({ keeper }) => one(keeper.runs)),
]

const STATE: readonly Metric<MetricSources>[] = [
  gauge('l2cap_info', 'Version of this capture; always 1.', () => by('version', [[VERSION, 1]]), ['version']),
  gauge(
    'l2cap_book_state',
    'State of the book: 1 for the one it is in.',
    ({ keeper }) => {
      const state = keeper.pause === undefined ? (keeper.session?.book.state ?? 'connecting') : 'paused'
      return by(
        'state',
        BOOK_STATES.map((each) => [each, each === state ? 1 : 0]),
      )
    },
    ['state'],
  ),
  gauge(
    'l2cap_levels_proven',
    'Levels of the book, of those that are recorded, that are proven; by side. 0 while it is not live.',
    ({ keeper, config }) => {
      const machine = keeper.session?.book
      const book = machine?.state === 'live' ? machine.live.book : undefined
      const proven = (side: 'bids' | 'asks') =>
        book === undefined ? 0 : levelsProven(book[side], config.bookLevels)
      return by('side', [
        ['bid', proven('bids')],
        ['ask', proven('asks')],
      ])
    },
    ['side'],
  ),
  gauge(
    'l2cap_halts_in_a_row',
    'Processes of this spool that halted before this one; 0 once this one has been healthy for 10 min.',
    ({ haltsInARow }) => one(haltsInARow),
  ),
  gauge(
    'l2cap_handover_seconds',
    'How long it was waited for the last manifest of the predecessor, or is so far; absent where there is none.',
    ({ handoverSeconds }) => (handoverSeconds === undefined ? [] : one(handoverSeconds)),
  ),
  gauge(
    'l2cap_last_halt_timestamp_seconds',
    'When a process of this spool last halted for the reason, of the last 5 halts; 0 for none of them.',
    ({ halts }) =>
      by(
        'reason',
        [...HALTS, ...UNASKED_ENDS].map((reason) => {
          // the latest stand first
          const at = Date.parse(halts.find((halt) => halt.reason === reason)?.at ?? '')
          return [reason, Number.isNaN(at) ? 0 : at / 1000]
        }),
      ),
    ['reason'],
  ),
  histogram(
    'l2cap_exchange_lag_seconds',
    "From the exchange's own time of an event to its receive time, by the exchange's clock.",
    ({ keeper, config }) =>
      by(
        'stream',
        config.streams.map((stream) => [stream, keeper.rows.lag[stream]]),
      ),
    ['stream'],
  ),
  histogram(
    'l2cap_journal_delay_seconds',
    "From a socket's callback to the journal, one message of 16.",
    ({ keeper }) => one(keeper.delay),
  ),
]

const FEED: readonly Metric<MetricSources>[] = [
  gauge(
    'l2cap_weight_used',
    'Request weight that the address has used in this minute, as far as known.',
    ({ keeper }) => one(keeper.feed?.status().usedWeight ?? 0),
  ),
  gauge('l2cap_weight_limit', 'Request weight that the address may use in a minute.', ({ keeper }) =>
    one(keeper.feed?.status().weightLimit ?? 0),
  ),
  gauge(
    'l2cap_address_share',
    "Symbols that share the address's limits, as far as was told: requests and connections keep to that part.",
    ({ keeper }) => one(keeper.share),
  ),
  gauge(
    'l2cap_paused_until_timestamp_seconds',
    'The exchange wants no request before; 0 where it never said so.',
    ({ keeper }) => one(keeper.pausedUntilMs / 1000),
  ),
  gauge(
    'l2cap_connection_age_seconds',
    'Age of the oldest open connection, by route; absent while none is open.',
    ({ keeper }) => {
      const now = keeper.feed?.receiveClock.now() ?? 0
      const routes = keeper.feed?.stopped === false ? keeper.feed.status().routes : []
      return routes
        .filter(({ open }) => open.length > 0)
        .map(({ route, open }) => ({
          labels: { route },
          value: seconds(now - Math.min(...open.map(({ since }) => since))),
        }))
    },
    ['route'],
  ),
  gauge('l2cap_clock_offset_seconds', "Our receive clock − the exchange's, median of five.", ({ keeper }) =>
    one(seconds(keeper.session?.clockOffset ?? 0)),
  ),
  gauge(
    'l2cap_clock_age_seconds',
    "Since the exchange's clock was last read; absent before the first time.",
    ({ keeper }) => {
      const clock = keeper.feed?.status().clock ?? null
      return clock === null ? [] : one(clock.ageMs / 1000)
    },
  ),
]

/** Every metric of ours, in the order in which they are documented. */
export const METRICS: readonly Metric<MetricSources>[] = [...SESSION, ...STATE, ...DISK, ...SHIP, ...FEED]

/** The metrics of a process, those of Node among them. `sources` is asked at each scrape. */
export class Metrics {
  readonly #registry = new Registry()
  readonly #collect: () => Promise<MetricSources>
  #sources: MetricSources | undefined

  constructor(config: ProcessConfig, collect: () => Promise<MetricSources>) {
    this.#collect = collect
    this.#registry.setDefaultLabels({ exchange: config.exchange, symbol: config.symbol })
    for (const metric of METRICS) register(this.#registry, metric, () => this.#latest())
    collectDefaultMetrics({ register: this.#registry })
  }

  /** What Prometheus reads. Rejects with what kept the spool from being counted. */
  async read(): Promise<{ readonly type: string; readonly text: string }> {
    this.#sources = await this.#collect()
    return { type: this.#registry.contentType, text: await this.#registry.metrics() }
  }

  #latest(): MetricSources {
    if (this.#sources === undefined) throw new Error('metrics are read before they were collected')
    return this.#sources
  }
}
