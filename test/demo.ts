/**
 * `npm run demo`: a simulated exchange, `l2cap run` against it, two faults, and the proof that the data tells of
 * both. Ends with 0 only where it does.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { EXIT_DRAINED, EXIT_INTERNAL_ERROR, EXIT_WRONG_CALL } from '../api/reasons.ts'
import { CallError } from '../capture/cli/call.ts'
import type { RunEvent } from '../capture/cli/events.ts'
import { bytesText, count, grouped, timeOfDay } from '../capture/cli/text.ts'
import { Child, ROOT, runToEnd } from './demo/child.ts'
import { type Contents, type Gap, gapMs, readContents } from './demo/data.ts'
import { type Exchange, ExchangeError, startExchange } from './demo/exchange.ts'
import { type DemoOptions, demoOptions, HELP } from './demo/options.ts'
import { pasteLines } from './demo/paste.ts'
import { reasonOf, Story, type Told } from './demo/story.ts'
import { parseFaults } from './sim/mod.ts'

/** Replaced by each demo; below a folder that git ignores. */
const DIRECTORY = join(ROOT, 'dist', 'demo')
const ROTATION_SECONDS = 10
const GENERATED_SECONDS = 25
/** After the last recorded frame: what is on its way arrives. */
const AFTER_END_MS = 1000
/** A recording that does not end by then has stopped somewhere. */
const RECORDED_GRACE_SECONDS = 30
const EXIT_INTERRUPTED = 130
const TOLD: readonly string[] = ['live', 'gap', 'committed', 'ended', 'shipping', 'stopping']

/** Every process that was started, the youngest last. */
const children: Child[] = []

async function main(): Promise<number> {
  const options = demoOptions(process.argv.slice(2))
  if (options === 'help') {
    process.stdout.write(HELP)
    return EXIT_DRAINED
  }
  const data = join(DIRECTORY, 'data')
  const replaced = freshDirectory()
  intro(options, shown(data), replaced)

  const story = new Story()
  const allEnded = Promise.withResolvers<void>()
  const open = new Set<string>()
  const exchange = await startExchange(options, keep, (event) => {
    story.onExchange(event)
    if (event.event === 'end') open.delete(event.symbol)
    if (event.event === 'end' && open.size === 0) allEnded.resolve()
  })
  for (const symbol of exchange.symbols) open.add(symbol)
  introduce(exchange, story)
  const runCode = await capture(options, exchange, data, story, allEnded.promise)
  await exchange.stop()
  const contents = await readContents(data)
  return await conclude(options, story, data, contents, runCode)
}

function keep(child: Child): void {
  children.push(child)
}

/** Removes what an earlier demo left. Throws CallError while that one runs. */
function freshDirectory(): boolean {
  const noteFile = join(DIRECTORY, 'pid')
  const replaced = existsSync(DIRECTORY)
  const pid = existsSync(noteFile) ? Number(readFileSync(noteFile, 'utf8')) : 0
  if (pid > 0 && isAlive(pid)) {
    throw new CallError(
      `another demo runs as process ${pid} and uses ${shown(DIRECTORY)}; wait for it, or end it`,
    )
  }
  rmSync(DIRECTORY, { recursive: true, force: true })
  mkdirSync(DIRECTORY, { recursive: true })
  writeFileSync(noteFile, String(process.pid))
  process.once('exit', () => rmSync(noteFile, { force: true }))
  return replaced
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false // nobody has that number, or nobody who is ours
  }
}

/** A path as the shell of whoever started this sees it. */
function shown(path: string): string {
  const from = relative(process.cwd(), path)
  return from.startsWith('..') ? path : from
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

function intro({ market, faults }: DemoOptions, data: string, replaced: boolean): void {
  const what = market.kind === 'generated' ? `market ${market.seed} (--seed ${market.seed})` : market.file
  say(`l2cap demo: captures a simulated exchange on this machine, ${what}.`)
  say(`It takes about half a minute${faults === '' ? '' : `, and the exchange misbehaves: ${faults}`}.`)
  say(`Data goes to ${data}${replaced ? ' (that of the demo before is replaced)' : ''}.\n`)
}

function introduce({ endpoints, symbols, frames, seconds, speed, derived }: Exchange, story: Story): void {
  story.say('exchange', `listens on ${endpoints}: ${symbols.join(', ')}`)
  if (frames === 0) return
  story.say(
    'exchange',
    `plays ${grouped(frames)} recorded frames of ${Math.round(seconds)} s, ${speed} times as fast`,
  )
  if (derived.length > 0)
    story.say('exchange', `made from other frames, since not recorded: ${derived.join(', ')}`)
}

/** Runs `l2cap run` to its end and tells what it does; gives its exit code. */
async function capture(
  { market }: DemoOptions,
  exchange: Exchange,
  data: string,
  story: Story,
  allEnded: Promise<void>,
): Promise<number> {
  const recordedSeconds = Math.ceil(exchange.seconds / exchange.speed) + RECORDED_GRACE_SECONDS
  const seconds = market.kind === 'generated' ? GENERATED_SECONDS : recordedSeconds
  const words = ['run', '--exchange', 'BinanceUsdm', '--symbols', exchange.symbols.join(',')]
  const rest = [
    '--rotation-seconds',
    String(ROTATION_SECONDS),
    '--duration',
    `${seconds}s`,
    '--endpoints',
    exchange.endpoints,
  ]
  story.say('l2cap', `${[...words, ...rest].join(' ')}`)
  const places = ['--out', data, '--spool', join(DIRECTORY, 'spool')]
  const run = new Child('capture/cli.ts', [...words, ...rest, ...places], (line) => {
    const event = JSON.parse(line) as RunEvent
    if (TOLD.includes(event.event)) story.onCapture(event as Told)
  })
  keep(run)
  if (market.kind === 'recorded') {
    void allEnded.then(() => setTimeout(() => void run.stop(), AFTER_END_MS))
  }
  const code = await run.ended
  if (code !== EXIT_DRAINED) say(`\nl2cap run ended with code ${code}:\n${run.stderr}`)
  return code
}

async function conclude(
  options: DemoOptions,
  story: Story,
  data: string,
  contents: Contents,
  runCode: number,
): Promise<number> {
  say(`\n$ npx l2cap verify ${shown(data)}`)
  const verified = await runToEnd('capture/cli.ts', ['verify', data])
  for (const line of verified.lines) say(line)
  tellGaps(contents.gaps)
  const { windows, objects, bytes, rows, symbols } = contents
  say(
    `\nWritten: ${count(rows, 'row')} of ${count(symbols.length, 'symbol')} in ${count(windows, 'window')}, ${count(objects, 'file')} of Parquet, ${bytesText(bytes)}.`,
  )

  const faults = faultsMissing(options, story, contents.gaps)
  if (runCode !== EXIT_DRAINED) faults.push(`l2cap run ended with code ${runCode}`)
  if (verified.code !== EXIT_DRAINED) faults.push(`l2cap verify ended with code ${verified.code}`)
  if (rows === 0) faults.push('nothing was captured')
  if (faults.length > 0) {
    say('\nNOT as it should be:')
    for (const fault of faults) say(`  ${fault}`)
    return EXIT_INTERNAL_ERROR
  }
  const told = options.faults === '' ? '' : ', and every fault of the exchange shows in it with its reason'
  say(`\nThe data is proven right${told}. Look at it (paste these):\n`)
  for (const line of pasteLines(shown(data), symbols[0] ?? '')) say(line)
  return EXIT_DRAINED
}

function tellGaps(gaps: readonly Gap[]): void {
  if (gaps.length === 0) return say('\nCoverage tells of no gap.')
  say('\nWhat coverage, a file beside the data, tells of gaps:')
  // books and depth fall together: one line for both
  for (const together of Map.groupBy(gaps, (gap) => `${gap.symbol} ${gap.from} ${gap.reason}`).values()) {
    const [gap] = together
    if (gap === undefined) continue
    const until = gap.to === null ? 'the end' : `${timeOfDay(gap.to)} (${Math.round(gapMs(gap) ?? 0)} ms)`
    const streams = together.map(({ stream }) => stream).join(' and ')
    say(`  ${gap.symbol}  ${gap.reason.padEnd(9)}  ${timeOfDay(gap.from)} to ${until}, of ${streams}`)
    if (gap.detail !== '') say(`      ${gap.detail}`)
  }
}

/** Faults that were asked for and did not happen, or happened and do not show. */
function faultsMissing({ faults }: DemoOptions, story: Story, gaps: readonly Gap[]): string[] {
  const missing: string[] = []
  for (const { kind, symbol } of parseFaults(faults)) {
    const key = `${kind} of ${symbol}`
    const asked = parseFaults(faults).filter((fault) => fault.kind === kind && fault.symbol === symbol).length
    const happened = story.faults.filter((fault) => fault.kind === kind && fault.symbol === symbol).length
    const streams = new Map<string, number>()
    for (const gap of gaps) {
      if (gap.symbol === symbol && gap.reason === reasonOf(kind))
        streams.set(gap.stream, (streams.get(gap.stream) ?? 0) + 1)
    }
    const shows = Math.max(0, ...streams.values())
    if (happened < asked) missing.push(`the fault ${key} was asked for and did not happen`)
    else if (shows < asked) missing.push(`the fault ${key} does not show in coverage as "${reasonOf(kind)}"`)
  }
  return [...new Set(missing)]
}

/** Ends what was started, the capture before its exchange. */
async function cleanUp(): Promise<void> {
  for (const child of children.toReversed()) await child.stop()
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    say('\ndemo: stopped; ends its processes')
    void cleanUp().then(() => process.exit(EXIT_INTERRUPTED))
  })
}

main().then(
  (exitCode) => process.exit(exitCode),
  async (error: unknown) => {
    await cleanUp()
    const isCallError = error instanceof CallError
    const isKnown = isCallError || error instanceof ExchangeError
    const isWrongCall = isCallError || (error instanceof ExchangeError && error.exitCode === EXIT_WRONG_CALL)
    process.stderr.write(
      `demo: ${isKnown ? error.message : error instanceof Error ? error.stack : String(error)}\n`,
    )
    process.exit(isWrongCall ? EXIT_WRONG_CALL : EXIT_INTERNAL_ERROR)
  },
)
