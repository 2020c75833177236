/** `npm run sim --`: runs one simulated exchange until it is told to stop. */
import { createInterface } from 'node:readline'
import { EXIT_DRAINED, EXIT_INTERNAL_ERROR, EXIT_WRONG_CALL } from '../../api/reasons.ts'
import type { SimEvent } from './core/mod.ts'
import { messageOf, SimError } from './errors.ts'
import { help, parseOptions } from './options.ts'
import { type Sim, startSim } from './sim.ts'

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2))
  if (options === 'help') {
    process.stdout.write(help())
    return
  }
  // Heard from the start: a simulator that is still reading its recording ends in order too.
  const asked = Promise.withResolvers<void>()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => asked.resolve())
  // Whoever started it and read its lines is gone: nobody is left to tell it to stop.
  process.stdout.on('error', () => asked.resolve())

  const sim = await startSim(options)
  const { endpoints, symbols, streams, derived, frames, seconds } = sim
  line({ endpoints, symbols, streams, derived, frames, seconds })
  sim.on(tell)
  // a terminal is left alone: to read from it stops a program in the background
  if (!process.stdin.isTTY) createInterface({ input: process.stdin }).on('line', (text) => command(sim, text))
  await asked.promise
  await sim.stop()
}

/** A line of standard input; a mistake in it is told, and the exchange goes on. */
function command(sim: Sim, text: string): void {
  const [verb = '', ...rest] = text.trim().split(/\s+/)
  if (verb === '') return
  try {
    if (verb !== 'inject') throw new SimError('wrong_call', `"${verb}" is no command; there is: inject LIST.`)
    sim.inject(rest.join(''))
  } catch (thrown) {
    process.stderr.write(`sim: ${messageOf(thrown)}\n`)
  }
}

function tell(event: SimEvent): void {
  if (event.event === 'note') process.stderr.write(`sim: ${event.text}\n`)
  else line(event)
}

function line(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}

main().then(
  () => process.exit(EXIT_DRAINED),
  (thrown: unknown) => {
    process.stderr.write(`sim: ${messageOf(thrown)}\n`)
    process.exit(thrown instanceof SimError ? EXIT_WRONG_CALL : EXIT_INTERNAL_ERROR)
  },
)
