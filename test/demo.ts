/**
 * `npm run demo`: a simulated exchange, `l2cap run` against it, one fault after the other, and the proof that the
 * data tells of each. Ends with 0 only where it does.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { EXIT_DRAINED, EXIT_INTERNAL_ERROR, EXIT_WRONG_CALL } from '../api/reasons.ts'
import { CallError } from '../capture/cli/call.ts'
import { bytesText, count, grouped } from '../capture/cli/text.ts'
import { ACTS, LIE, play } from './demo/acts.ts'
import { startCapture } from './demo/capture.ts'
import { type Child, ROOT, runToEnd } from './demo/child.ts'
import { type Contents, readContents } from './demo/data.ts'
import { type Exchange, ExchangeError, startExchange } from './demo/exchange.ts'
import { type DemoOptions, demoOptions, HELP } from './demo/options.ts'
import { pasteLines } from './demo/paste.ts'
import { Story } from './demo/story.ts'
import { coverageLines, faultsMissing } from './demo/verdict.ts'
import { Watch } from './demo/watch.ts'
import { parseFaults } from './sim/mod.ts'

/** Replaced by each demo; below a folder that git ignores. */
const DIRECTORY = join(ROOT, 'dist', 'demo')
/** A generated market with faults at times of their own: at least so long, and so long after the last of them. */
const TIMED_MS_MIN = 25_000
const TIMED_AFTER_MS = 12_000
/** After the last fault: what comes after it is data again. */
const AFTER_LAST_MS = 3000
/** After the last recorded frame: what is on its way arrives. */
const AFTER_END_MS = 1000
/** A recording that does not end by then has stopped somewhere. */
const RECORDED_GRACE_MS = 180_000
const EXIT_INTERRUPTED = 130

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

  const watch = new Watch()
  const story = new Story(watch)
  const allEnded = Promise.withResolvers<void>()
  const open = new Set<string>()
  const exchange = await startExchange(options, keep, (event) => {
    story.onExchange(event)
    if (event.event === 'end') open.delete(event.symbol)
    if (event.event === 'end' && open.size === 0) allEnded.resolve()
  })
  for (const symbol of exchange.symbols) open.add(symbol)
  introduce(exchange, story)
  const runCode = await capture(options, exchange, data, watch, story, allEnded.promise)
  await exchange.stop()
  return await conclude(options, watch, data, await readContents(data), runCode)
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
  if (faults === undefined) {
    say('It takes about a minute. The exchange misbehaves in five ways, and one capture is killed.')
    say(
      'Read each FAULT, and below it what the capture of that symbol did about it. A window is ten seconds of data:',
    )
    say('books20 are the 20 best levels after each change, depth is every change itself.')
  } else
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
  options: DemoOptions,
  exchange: Exchange,
  data: string,
  watch: Watch,
  story: Story,
  allEnded: Promise<void>,
): Promise<number> {
  const { endpoints, symbols } = exchange
  const file = join(DIRECTORY, 'capture.yaml')
  const isStrict = options.market.kind === 'generated'
  story.say('l2cap', `run ${shown(file)} --endpoints ${endpoints}`)
  const spool = join(DIRECTORY, 'spool')
  const run = startCapture({ symbols, endpoints, file, data, spool, isStrict }, (event) =>
    story.onCapture(event),
  )
  keep(run)
  const ended = run.ended.finally(() => watch.end())
  await Promise.race([script(options, exchange, watch, story, allEnded), ended])
  if (!watch.over) await run.stop()
  const code = await ended
  if (code !== EXIT_DRAINED) say(`\nl2cap run ended with code ${code}:\n${run.stderr}`)
  return code
}

/** What happens while the capture runs; resolves when it is to end. */
async function script(
  { market, faults }: DemoOptions,
  exchange: Exchange,
  watch: Watch,
  story: Story,
  allEnded: Promise<void>,
): Promise<void> {
  if (market.kind === 'recorded') {
    const ms = (exchange.seconds / exchange.speed) * 1000 + RECORDED_GRACE_MS
    await Promise.race([allEnded.then(() => pause(AFTER_END_MS)), pause(ms)])
  } else if (faults !== undefined) {
    const last = Math.max(
      0,
      ...parseFaults(faults).map(({ afterMs, durationMs = 0 }) => afterMs + durationMs),
    )
    await pause(Math.max(TIMED_MS_MIN, last + TIMED_AFTER_MS))
  } else {
    const kill = (symbol: string, pid: number) => {
      // one that ended by itself just now is no kill, and is missed at the end
      if (isAlive(pid) && process.kill(pid, 'SIGKILL')) story.onKill(symbol, pid)
    }
    const stage = { watch, inject: (fault: string) => exchange.inject(fault), kill }
    await Promise.all([play(ACTS, stage), play([LIE], stage)])
    await pause(AFTER_LAST_MS)
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

async function conclude(
  { faults }: DemoOptions,
  watch: Watch,
  data: string,
  contents: Contents,
  runCode: number,
): Promise<number> {
  say(`\n$ npx l2cap verify ${shown(data)}`)
  const verified = await runToEnd('capture/cli.ts', ['verify', data])
  for (const line of verified.lines) say(line)
  say('')
  for (const line of coverageLines(contents)) say(line)
  const { windows, objects, bytes, rows, symbols } = contents
  say(
    `\nWritten: ${count(rows, 'row')} of ${count(symbols.length, 'symbol')} in ${count(windows, 'window')}, ${count(objects, 'file')} of Parquet, ${bytesText(bytes)}.`,
  )

  const asked = faults === undefined ? [...ACTS, LIE] : parseFaults(faults)
  const wrong = faultsMissing(asked, watch.faults, contents)
  if (runCode !== EXIT_DRAINED) wrong.push(`l2cap run ended with code ${runCode}`)
  if (verified.code !== EXIT_DRAINED) wrong.push(`l2cap verify ended with code ${verified.code}`)
  if (rows === 0) wrong.push('nothing was captured')
  if (wrong.length > 0) {
    say('\nNOT as it should be:')
    for (const line of wrong) say(`  ${line}`)
    return EXIT_INTERNAL_ERROR
  }
  const told = asked.length === 0 ? '' : ', and every fault shows in it with its reason'
  say(`\nThe data is proven right${told}. Look at it, with DuckDB or Python (paste these):\n`)
  for (const line of pasteLines(shown(data), symbols[0] ?? '')) say(line)
  return EXIT_DRAINED
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
