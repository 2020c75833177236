/** Numbers that an operator reads are those that the code acts on. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Guards } from '../../api/spec.ts'
import { BinanceUsdm } from '../../capture/exchange/binance-usdm/mod.ts'
import { RANKS } from '../../capture/feed/budget.ts'
import { constantOf } from './constants.ts'
import { pageAt, section } from './pages.ts'

const operations = pageAt('docs/OPERATIONS.md')

const WORDS: Readonly<Record<number, string>> = { 3: 'Three', 5: 'five', 10: 'Ten' }
const seconds = (us: number) => `${us / 1e6} s`
const secondsOfMs = (ms: number) => `${ms / 1e3} s`
const minutesOfMs = (ms: number) => `${ms / 60_000} min`
const minutes = (us: number) => minutesOfMs(us / 1e3)
const percent = (share: number) => `${Number((share * 100).toFixed(1))} %`
const plain = (value: number) => String(value)
const mib = (bytes: number) => `${bytes / 2 ** 20} MiB`

/** Under this heading the page says the constant, in this form. `…` stands for the number. */
type Claim = readonly [
  heading: string,
  sentence: string,
  file: string,
  constant: string,
  form: (value: number) => string,
]

const SESSION = 'capture/session'
const FEED = 'capture/feed'
const CLAIMS: readonly Claim[] = [
  ['stale', 'no event came within … more', `${SESSION}/silence.ts`, 'VERDICT_WAIT_US', seconds],
  ['Silence', '… more for the event', `${SESSION}/silence.ts`, 'VERDICT_WAIT_US', seconds],
  ['Silence', 'asked for … levels', `${SESSION}/book-questions.ts`, 'PROOF_LEVELS', plain],
  ['Silence', 'twice the time, up to …', `${SESSION}/book-questions.ts`, 'SILENCE_LONGEST_US', seconds],
  ['Silence', 'pinged every …', `${FEED}/connection.ts`, 'PING_EVERY_MS', secondsOfMs],
  ['Silence', 'asked for after … of silence', `${SESSION}/market-machine.ts`, 'TRADES_SILENT_US', seconds],
  ['Silence', 'twice the time up to …', `${SESSION}/market-machine.ts`, 'TRADES_SILENT_LONGEST_US', minutes],
  ['Silence', 'Mark prices must come within …', `${SESSION}/mark-stream.ts`, 'SILENT_US', seconds],
  ['no_data', 'no mark price for …', `${SESSION}/mark-stream.ts`, 'SILENT_US', seconds],
  ['no_data', 'doubles up to …', `${SESSION}/mark-stream.ts`, 'SILENT_US_MAX', seconds],
  ['empty_side', 'live for …', `${SESSION}/streak.ts`, 'RECOVERED_US', minutes],
  ['EmptyBook', 'live for …', `${SESSION}/streak.ts`, 'RECOVERED_US', minutes],
  ['EmptyBook', '… books in a row', `${SESSION}/book-guards.ts`, 'EMPTY_JOINS_MAX', (n) => WORDS[n]],
  [
    'StaleFeed',
    '… connections in a row',
    `${SESSION}/book-guards.ts`,
    'FROZEN_CONNECTIONS_MAX',
    (n) => WORDS[n],
  ],
  ['ResyncStorm', 'lost more than … times', `${SESSION}/resync-budget.ts`, 'FALLS_MAX', plain],
  ['ProtocolChanged', '… frames', `${SESSION}/session.ts`, 'UNDECODABLE_MAX', (n) => WORDS[n]],
  ['ClockSkew', 'Median of … probes', `${SESSION}/clock-guard.ts`, 'MEDIAN_OF', (n) => WORDS[n]],
  ['PrecisionLoss', 'more than … significant', 'capture/exchange/json/scanner.ts', 'DIGITS_EXACT_MAX', plain],
  ['overload', 'stalled for more than …', `${FEED}/ticker.ts`, 'LATE_US_MAX', seconds],
  ['overload', 'could not write for …', 'capture/process/journal-watch.ts', 'STUCK_MS_MAX', secondsOfMs],
  ['not_trading', 'asked for every …', `${FEED}/listing.ts`, 'NOT_TRADING_EVERY_MS', minutesOfMs],
  ['rate_limited', '… after 429', `${FEED}/budget.ts`, 'PAUSE_LIMITED_MS', secondsOfMs],
  ['rate_limited', '… after 418', `${FEED}/budget.ts`, 'PAUSE_BANNED_MS', secondsOfMs],
  [
    'rate_limited',
    'never more than … days',
    `${FEED}/transport.ts`,
    'RETRY_AFTER_MS_MAX',
    (ms) => plain(ms / 86_400_000),
  ],
  ['disk_full', 'file system is … full', 'capture/process/room.ts', 'DISK_MARK', percent],
  ['clock_step', 'more than … ms', 'capture/process/run.ts', 'CLOCK_STEP_US', (us) => plain(us / 1000)],
  ['crash', 'or … KiB', 'capture/journal/append-file.ts', 'SYNC_BYTES', (n) => plain(n / 1024)],
  ['DiskFailed', '… waited', 'capture/journal/append-file.ts', 'QUEUED_BYTES_MAX', mib],
  ['Halts', 'ships for at most …', 'capture/process/capture.ts', 'HALT_SHIP_MS', secondsOfMs],
  ['Halts', 'doubling to …', 'capture/cli/restart.ts', 'RESTART_DELAY_MS_MAX', secondsOfMs],
  ['Halts', 'then after …', 'capture/cli/restart.ts', 'RESTART_DELAY_MS_MIN', secondsOfMs],
  ['Halts', 'after … of a live book', 'capture/process/report.ts', 'RECOVERED_AFTER_MS', minutesOfMs],
  ['Halts', 'has the last …', 'capture/process/report.ts', 'HALTS_MAX', plain],
  [
    'States of the book',
    'the first of them or after …',
    `${SESSION}/book-join.ts`,
    'FIRST_EVENT_WAIT_US',
    seconds,
  ],
  ['States of the book', 'at most … and', `${SESSION}/buffer.ts`, 'AGE_MAX_US', seconds],
  ['States of the book', 'and … of them', `${SESSION}/buffer.ts`, 'BYTES_MAX', mib],
  ['Audits', 'or every … times', `${SESSION}/book-questions.ts`, 'AUDIT_US_PER_SYMBOL', seconds],
  ['Audits', 'within a random …', `${FEED}/backoff.ts`, 'WIDEN_MS', secondsOfMs],
  ['Audits', 'level uses …', `${SESSION}/horizon-watch.ts`, 'REACH_USED_MAX', percent],
  ['Audits', 'moved by …', `${SESSION}/horizon-watch.ts`, 'MID_MOVED_MAX', percent],
  ['Audits', 'at most once in …', `${SESSION}/audit.ts`, 'HORIZON_AGAIN_US', seconds],
  ['Audits', 'tried again after …', `${SESSION}/audit.ts`, 'AGAIN_AFTER_US', seconds],
  ['Audits', 'for the horizon after …', `${SESSION}/audit.ts`, 'HORIZON_TRIED_AGAIN_US', seconds],
  ['Take-overs', 'must hold for …', `${SESSION}/book-take-over.ts`, 'CHAIN_HOLDS_US', seconds],
  ['Take-overs', 'held back, at most …', `${SESSION}/book-take-over.ts`, 'HOLDS_BACK_US', seconds],
  ['Take-overs', 'after … it is tried again', `${SESSION}/take-over.ts`, 'AGAIN_AFTER_US', seconds],
  ['Weight is shared', 'Attempts to connect: … in', `${FEED}/attempts.ts`, 'ATTEMPTS_MAX', plain],
  ['Weight is shared', 'From … on', `${FEED}/budget.ts`, 'BUSY', percent],
  ['A full disk', 'cap is … of', 'capture/process/room.ts', 'SPOOL_MARK', percent],
  ['A full disk', 'full at …', 'capture/process/room.ts', 'DISK_MARK', percent],
  ['A full disk', 'below … of the cap', 'capture/process/room.ts', 'SPOOL_LOW', percent],
  ['A full disk', '… of the file system', 'capture/process/room.ts', 'DISK_LOW', percent],
  ['A full disk', '… more are taken', 'capture/process/room.ts', 'PROOF_BYTES', mib],
  ['Room for an outage', 'being … of the limit', 'capture/process/room.ts', 'SPOOL_MARK', percent],
  ['Room for an outage', 'file system is … full', 'capture/process/room.ts', 'DISK_MARK', percent],
  ['The bucket', 'and within …', 'capture/ship/pace.ts', 'SPREAD_MS_MAX', secondsOfMs],
  ['Credentials', 'again every …', 'capture/ship/s3/session.ts', 'LOOK_EVERY_MS', minutesOfMs],
  ['The spool', '… of room', 'capture/journal/reserve.ts', 'RESERVE_BYTES', mib],
  ['The spool', 'the last … halts', 'capture/process/report.ts', 'HALTS_MAX', plain],
  ['The clock', 'one every …', `${FEED}/exchange-clock.ts`, 'PROBE_EVERY_MS_MIN', secondsOfMs],
  ['The clock', 'or every … times', `${FEED}/exchange-clock.ts`, 'PROBE_MS_PER_SYMBOL', secondsOfMs],
  ['Reading /status', 'turned within …', 'capture/process/capture.ts', 'BEAT_MS_MAX', secondsOfMs],
  ['Reading /status', 'an answer and …', `${SESSION}/silence.ts`, 'VERDICT_WAIT_US', seconds],
  ['Reading /status', 'by the next one, … later', `${FEED}/connection.ts`, 'PING_EVERY_MS', secondsOfMs],
  ['Reading /status', 'about … more', `${FEED}/connection.ts`, 'PING_EVERY_MS', (ms) => secondsOfMs(2 * ms)],
  [
    'Metrics',
    'healthy for … min',
    'capture/process/report.ts',
    'RECOVERED_AFTER_MS',
    (ms) => plain(ms / 60_000),
  ],
  ['Metrics', 'of the last … halts', 'capture/process/report.ts', 'HALTS_MAX', plain],
]

/** Says it, as a whole number: `5 s` does not stand in `15 s`. */
function says(heading: string, wanted: string): void {
  const { text } = section(operations, heading)
  const at = text.indexOf(wanted)
  assert.ok(at >= 0, `OPERATIONS.md, "${heading}", is to say "${wanted}"`)
  assert.doesNotMatch(text.slice(at - 1, at + 1), /\d\d/, `"${heading}": more digits before "${wanted}"`)
}

describe('docs: numbers', () => {
  for (const [heading, sentence, file, constant, form] of CLAIMS) {
    it(`${heading}: ${sentence} (${constant})`, () => {
      const spoken = form(constantOf(file, constant))
      // prose writes longer times out
      says(heading, sentence.replace('…', spoken.replace(/ min$/, ' minutes')))
    })
  }

  it('guards: the defaults', () => {
    const guards = Guards.parse({})
    says('Silence', `\`guards.staleAfterSeconds\` (${guards.staleAfterSeconds})`)
    says('Audits', `\`guards.auditSeconds\` (${guards.auditSeconds})`)
    says('ClockSkew', `\`guards.clockSkewMillis\` (${guards.clockSkewMillis})`)
    says('The clock', `beyond ${guards.clockSkewMillis} ms`)
  })

  it('ranks of requests', () => {
    for (const [rank, share] of Object.entries(RANKS))
      says('Weight is shared', `| ${rank} | ${percent(share)} |`)
  })

  it('Binance: weight of an address, life of a connection, and when it is replaced', () => {
    const { weightPerMinute, connectionLifetimeMs } = BinanceUsdm.limits
    const hours = connectionLifetimeMs / 3_600_000
    says('Weight is shared', `${weightPerMinute.toLocaleString('en-US')} weight a minute`)
    says('Take-overs', `after ${hours} hours`)
    const latest = hours - constantOf('capture/session/take-over.ts', 'AHEAD_US') / 3.6e9
    const earliest = latest - constantOf('capture/session/take-over.ts', 'SPREAD_US') / 3.6e9
    says('Take-overs', `Between ${earliest} and ${latest} hours`)
  })

  it('the file system is low enough at its mark times the low mark', () => {
    const mark = constantOf('capture/process/room.ts', 'DISK_MARK')
    const low = constantOf('capture/process/room.ts', 'DISK_LOW')
    says('A full disk', `(${percent(mark * low)} full)`)
  })
})
