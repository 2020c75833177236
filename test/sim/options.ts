/** The command line of the simulator: arguments to options, and each mistake to one sentence. */
import { parseArgs } from 'node:util'
import { messageOf, SimError } from './errors.ts'
import { FAULT_KINDS, type FaultKindName, kindOf, parseFaults } from './faults/mod.ts'
import { PROFILES, profileSettings } from './market/mod.ts'
import type { SimOptions } from './sim.ts'

const SYMBOLS_MAX = 100
const RATE_MAX = 100_000

/** What `--help` prints. */
export function help(): string {
  const names = Object.keys(FAULT_KINDS) as FaultKindName[]
  return `A simulated Binance USD-M exchange on 127.0.0.1, over the real protocol.

  npm run sim -- --recording FILE.frames.gz [--speed X] [--only-recorded]
  npm run sim -- --seed N --symbols BTCUSDT,ETHUSDT [--profile P] [--rate N] [--seconds S]

  --recording FILE   play recorded frames byte for byte; each symbol starts with its first depth subscription
  --speed X          divide the gaps between recorded frames by X (1)
  --only-recorded    leave aggTrade and markPrice silent where the recording has none
  --seed N           generate a market; the same seed gives the same market
  --symbols A,B      its symbols
  --profile P        what its markets are like: ${Object.keys(PROFILES).join(', ')} (plain);
                     for single symbols: BTCUSDT=big,XRPUSDT=tiny
  --rate N           changes of the book a second and symbol (400, or as the profile says)
  --seconds S        end each market S seconds after its first subscription (never)
  --forget N         changes outside the best N levels of their side are not reported (all are)
  --lag-ms MS        frames of streams come this much late (0)
  --faults LIST      kind:SYMBOL[/place][=value]@seconds[+duration],… counted in seconds from the symbol's
                     first depth subscription (SYMBOL *: all, from the first of any). The kinds:
${names.map(helpOf).join('\n')}
                     Place: public (default) or market for connections, depth (default), trades, time, info or
                     any for REST: cut:BTCUSDT/market@15, rest_5xx:BTCUSDT/any=503@3
  --skew-ms MS       the exchange's clock is this far ahead of the machine's (0)
  --port P           listen here (a free port)

The first line on stdout says where it listens and what it has; then a line for each event.
Lines on stdin, where it is no terminal, are commands: inject LIST fires faults now, whatever their @seconds say.
`
}

function helpOf(name: FaultKindName): string {
  const { about, durationMs, value } = kindOf(name)
  const notes = [
    ...(durationMs === undefined ? [] : [`for ${durationMs / 1000} s`]),
    ...(value === undefined ? [] : [`=${value.otherwise}: ${value.means}`]),
  ]
  return `    ${name.padEnd(16)} ${about}${notes.length > 0 ? ` (${notes.join('; ')})` : ''}`
}

/** Options, or `help` where it was asked for. Throws SimError `wrong_call`. */
export function parseOptions(args: readonly string[]): SimOptions | 'help' {
  const values = parse(args)
  if (values.help === true) return 'help'
  const { recording, seed, symbols } = values
  const common = {
    port: whole('port', values.port, 0, 65_535),
    faults: parseFaults(values.faults ?? ''),
    skewMs: whole('skew-ms', values['skew-ms'], -1e12, 1e12),
    lagMs: whole('lag-ms', values['lag-ms'], 0, 1e6),
  }
  if (recording !== undefined) {
    const { rate, seconds, profile, forget } = values
    refuse('--recording', { seed, symbols, rate, seconds, profile, forget })
    return {
      ...common,
      recording,
      speed: positive('speed', values.speed),
      onlyRecorded: values['only-recorded'],
    }
  }
  const wanted = whole('seed', seed, -(2 ** 31), 2 ** 32)
  if (wanted === undefined || symbols === undefined) {
    throw wrong('Say what to simulate: --recording FILE, or --seed N together with --symbols A,B.')
  }
  refuse('--seed', { speed: values.speed, 'only-recorded': values['only-recorded'] })
  const rate = positive('rate', values.rate)
  if (rate !== undefined && rate > RATE_MAX) throw wrong(`--rate is at most ${RATE_MAX} changes a second.`)
  const seconds = positive('seconds', values.seconds)
  return {
    ...common,
    seed: wanted,
    symbols: symbolList(symbols),
    rate,
    ...profilesOf(values.profile, symbolList(symbols)),
    forgetBeyond: whole('forget', values.forget, 1, 1e6),
    endAfterMs: seconds === undefined ? undefined : seconds * 1000,
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      strict: true,
      options: {
        recording: { type: 'string' },
        speed: { type: 'string' },
        'only-recorded': { type: 'boolean' },
        seed: { type: 'string' },
        symbols: { type: 'string' },
        rate: { type: 'string' },
        seconds: { type: 'string' },
        faults: { type: 'string' },
        'skew-ms': { type: 'string' },
        'lag-ms': { type: 'string' },
        profile: { type: 'string' },
        forget: { type: 'string' },
        port: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values
  } catch (thrown) {
    throw wrong(`${messageOf(thrown).split('\n')[0]} See --help.`)
  }
}

/** `P`, or `SYMBOL=P,…`. */
function profilesOf(text: string | undefined, symbols: readonly string[]) {
  if (text === undefined) return {}
  const parts = text.split(',').map((part) => part.split('=').map((word) => word.trim()))
  const named = parts.flatMap(([symbol = '', name]) => (name === undefined ? [] : [[symbol, name] as const]))
  for (const [symbol, name] of named) {
    profileSettings(name)
    if (!symbols.includes(symbol)) throw wrong(`--profile names ${symbol}, which is not among --symbols.`)
  }
  const plain = parts.filter((part) => part.length === 1).map(([name = '']) => name)
  if (plain.length > 1) throw wrong(`--profile is "${text}"; one profile, or SYMBOL=profile for each.`)
  if (plain[0] !== undefined) profileSettings(plain[0])
  return { profile: plain[0], profiles: Object.fromEntries(named) }
}

function symbolList(text: string): string[] {
  const symbols = [...new Set(text.split(',').map((symbol) => symbol.trim()))]
  const odd = symbols.find(
    (symbol) => symbol === '' || symbol !== symbol.toUpperCase() || /[\s/@]/.test(symbol),
  )
  if (odd !== undefined)
    throw wrong(`--symbols holds "${odd}"; symbols are in upper case, like BTCUSDT,ETHUSDT.`)
  if (symbols.length > SYMBOLS_MAX)
    throw wrong(`--symbols holds ${symbols.length} symbols; ${SYMBOLS_MAX} is the most.`)
  return symbols
}

/** Options that make no sense beside another are refused, not ignored. */
function refuse(beside: string, given: Readonly<Record<string, string | boolean | undefined>>): void {
  for (const [name, value] of Object.entries(given)) {
    if (value !== undefined) throw wrong(`--${name} makes no sense together with ${beside}.`)
  }
}

function whole(name: string, text: string | undefined, min: number, max: number): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (text.trim() !== '' && Number.isInteger(value) && value >= min && value <= max) return value
  throw wrong(`--${name} is "${text}"; a whole number from ${min} to ${max} was expected.`)
}

function positive(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (Number.isFinite(value) && value > 0) return value
  throw wrong(`--${name} is "${text}"; a number above 0 was expected.`)
}

function wrong(message: string): SimError {
  return new SimError('wrong_call', message)
}
