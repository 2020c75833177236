/** The command line of the demo. */
import { existsSync } from 'node:fs'
import { CallError, readCall, wholeNumber } from '../../capture/cli/call.ts'
import { parseFaults, SimError } from '../sim/mod.ts'

const SEED_DEFAULT = 42
const SEED_MAX = 2 ** 32 - 1
const SPEED_MAX = 1000

export const SYMBOLS = ['BTCUSDT', 'ETHUSDT', 'SOLUSDT'] as const

export const HELP = `npm run demo: captures a simulated exchange for a minute, breaks it in six ways, and proves the data.

No network, no account: the exchange is a process on 127.0.0.1 that speaks the real protocol. It loses a change,
cuts a connection, freezes a book, crosses one, and sends a wrong quantity; and one capture is killed.

  npm run demo
  npm run demo -- --seed 7 --faults drop:BTCUSDT@5
  npm run demo -- --recording FILE.frames.gz [--speed X]

  --seed N           the generated market; the same seed gives the same market (${SEED_DEFAULT})
  --faults LIST      these instead: kind:SYMBOL@seconds[+duration],… (npm run sim -- --help lists the kinds)
  --recording FILE   recorded traffic instead of a generated market, all symbols of the file
  --speed X          how much faster than recorded (so that it lasts about half a minute)

Exit codes: 0 the data is right and every fault shows in it, 1 not so, 2 wrong call.
`

export interface DemoOptions {
  readonly market:
    | { readonly kind: 'generated'; readonly seed: number }
    | { readonly kind: 'recorded'; readonly file: string; readonly speed: number | undefined }
  /** As the simulator takes them, at their own times; empty for none. Undefined: those of the demo, in their turn. */
  readonly faults: string | undefined
}

/** Options, or `help` where it was asked for. Throws CallError. */
export function demoOptions(args: readonly string[]): DemoOptions | 'help' {
  const { values, positionals } = readCall('npm run demo --', args, {
    seed: { type: 'string' },
    faults: { type: 'string' },
    recording: { type: 'string' },
    speed: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  })
  const { seed, recording, speed } = values
  if (values.help === true) return 'help'
  if (positionals[0] !== undefined)
    throw new CallError(`"${positionals[0]}" is no option; see npm run demo -- --help`)
  const faults = values.faults ?? (recording === undefined ? undefined : '')
  if (faults !== undefined) checkFaults(faults)
  if (recording === undefined) {
    if (speed !== undefined)
      throw new CallError('--speed belongs to --recording; a generated market has one speed')
    const number = seed === undefined ? SEED_DEFAULT : wholeNumber('--seed', seed, 0, SEED_MAX)
    return { market: { kind: 'generated', seed: number }, faults }
  }
  if (seed !== undefined) throw new CallError('--seed makes no sense with --recording; leave one of them out')
  if (!existsSync(recording))
    throw new CallError(`there is no file ${recording}; give a recording, FILE.frames.gz`)
  return { market: { kind: 'recorded', file: recording, speed: speedOf(speed) }, faults }
}

function speedOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const speed = Number(text)
  if (speed > 0 && speed <= SPEED_MAX) return speed
  throw new CallError(`--speed is "${text}"; give it a number above 0, at most ${SPEED_MAX}`)
}

function checkFaults(text: string): void {
  try {
    parseFaults(text)
  } catch (error) {
    if (error instanceof SimError) throw new CallError(error.message)
    throw error
  }
}
