/** `l2cap run`: captures symbols into a directory or bucket, one process each, until it is told to stop. */
import { readCall } from './call.ts'
import type { RunEvent } from './events.ts'

/** A terminal's Ctrl-C may reach us directly and through npx: what comes within this time is one signal. */
const SAME_SIGNAL_MS = 500

export const HELP = `l2cap run: captures order books into a directory or an S3 bucket, one process a symbol.

Each process keeps a proven book, writes windows of Parquet and commits each with a manifest. A process that
halts or dies is started again and goes on from its spool (but not for SymbolUnknown and PrecisionLoss).

  l2cap run --exchange BinanceUsdm --symbols BTCUSDT,ETHUSDT [options]
  l2cap run FILE.yaml [options]      FILE.yaml is an L2Capture; here storage may be {local: {path: ./data}} too

What to capture (a file says these itself):
  --exchange NAME         BinanceUsdm
  --symbols A,B           by the names that the exchange uses
  --streams A,B           of books, depth, trades, mark_price (all)
  --levels N              levels a side in each row of books, 1 to 50 (20)
  --rotation-seconds S    a file covers this long; a divisor of a day (300)

Where and how long:
  --out DIR               root of the data: DIR/parquet and DIR/manifest (./data, or what the file says;
                          not beside a file with storage.s3)
  --spool DIR             what is not committed yet: DIR/<exchange>/<symbol> (./spool)
  --duration T            end in order after T, such as 60s, 10m or 2h (until Ctrl-C)
  --endpoints URL         instead of the exchange's own addresses, e.g. a simulated exchange
  --port P                /livez, /readyz, /status, /metrics of the first symbol on 127.0.0.1:P, of the next on P+1, …
  --verbose               also the captures' own log lines

Data goes to a bucket where FILE.yaml says storage: {s3: {bucket: market-data, prefix: l2, endpoint: …}}. Credentials
come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or a web identity (AWS_ROLE_ARN,
AWS_WEB_IDENTITY_TOKEN_FILE); a private authority from AWS_CA_BUNDLE, proxies from HTTPS_PROXY, HTTP_PROXY, NO_PROXY.
While a bucket cannot be reached the capture goes on, and the spool keeps what is not shipped.

Paths are relative to the current directory. A terminal shows one live line a symbol; a pipe gets JSON lines on
standard output (docs/OPERATIONS.md lists the events: live, gap, gap_closed, paused, resumed, ended, …), and the
captures' warnings on standard error. Ctrl-C ends in order and waits for the store until all is shipped; a second
Ctrl-C leaves at once, and the next run ships the rest. What a file says for pods alone (resources) is not used here.

Examples:
  l2cap run --exchange BinanceUsdm --symbols BTCUSDT --duration 60s
  l2cap run capture.yaml --out /mnt/market-data --spool /var/lib/l2cap

Exit codes: 0 ended in order, 1 a symbol ended for good (its reason is told), 2 wrong call.
`

export async function run(args: readonly string[]): Promise<number> {
  // the schemas are loaded after a look at the words of the call
  const { planRun, RUN_OPTIONS } = await import('./run-plan.ts')
  const { values, positionals } = readCall('l2cap run', args, RUN_OPTIONS)
  const plan = await planRun(values, positionals)
  for (const note of plan.notes) process.stderr.write(`l2cap: ${note}\n`)
  const [{ Fleet }, { PipeView, TerminalView }, { closingLines }] = await Promise.all([
    import('./fleet.ts'),
    import('./view.ts'),
    import('./text.ts'),
  ])
  const isTerminal = process.stdout.isTTY
  const fleet = new Fleet(plan.configs, (event) => onEvent(event))
  const options = { verbose: plan.verbose, statuses: () => fleet.statuses() }
  const view = isTerminal ? new TerminalView(process.stdout, options) : new PipeView(options)
  let wrongCall = ''
  const onEvent = (event: RunEvent) => {
    if (event.event === 'ended' && event.next === 'wrong_call') wrongCall = event.message
    else view.event(event)
  }
  const forget = listenForTheEnd((why) => fleet.stop(why), plan.durationMs)
  const exitCode = await fleet.run()
  forget()
  view.close()
  if (wrongCall !== '') process.stderr.write(`l2cap: ${wrongCall}\n`)
  else if (isTerminal) process.stdout.write(`${closingLines(fleet.statuses(), plan.out).join('\n')}\n`)
  return exitCode
}

/** Signals, the end of the duration, and the end of whoever started us. Returns how to stop listening. */
function listenForTheEnd(stop: (why: string) => void, durationMs: number | undefined): () => void {
  let lastMs = Number.NEGATIVE_INFINITY
  const onSignal = (signal: string) => {
    if (performance.now() - lastMs < SAME_SIGNAL_MS) return
    lastMs = performance.now()
    stop(signal)
  }
  const onDisconnect = () => onSignal('its parent is gone')
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const signal of signals) process.on(signal, onSignal)
  process.once('disconnect', onDisconnect)
  // a channel alone is no reason to stay
  process.channel?.unref()
  let timer: NodeJS.Timeout | undefined
  if (durationMs !== undefined) timer = setTimeout(() => onSignal('the duration is over'), durationMs)
  return () => {
    clearTimeout(timer)
    for (const signal of signals) process.off(signal, onSignal)
    process.off('disconnect', onDisconnect)
  }
}
