/**
 * One seed, told to a person: `npm run seed -- N [--verbose] [--plan JSON]`. Verbose: every input of every session and
 * every row. A plan takes the place of the seed's own, such as the smallest one that still fails.
 */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Input } from '../../capture/session/mod.ts'
import { text } from './chain.ts'
import { judge } from './oracle.ts'
import { type Plan, planOf } from './plan.ts'
import { live } from './world.ts'

const { values, positionals } = parseArgs({
  options: { verbose: { type: 'boolean', default: false }, plan: { type: 'string' } },
  allowPositionals: true,
})
const seed = Number(positionals[0])
if (positionals.length !== 1 || !Number.isInteger(seed)) {
  process.stderr.write('usage: npm run seed -- N [--verbose] [--plan JSON]\n')
  process.exit(2)
}
const plan: Plan = values.plan === undefined ? planOf(seed) : JSON.parse(values.plan)
const started = performance.now()
const clock = (us: number) => ((us / 1000 - plan.startMs) / 1000).toFixed(3).padStart(9)
const print = (line: string) => process.stdout.write(`${line}\n`)

print(text(plan))
const log = {
  info: (_fields: object, message: string) => print(`  feed: ${message}`),
  warn: (_fields: object, message: string) => print(`  feed: ${message}`),
}
const outcome = await live(plan, values.verbose ? log : undefined)
const dir = join(tmpdir(), `l2cap-seed-${process.pid}`)
const verdict = await judge(outcome, dir, values.verbose ? follow : undefined)
if (values.verbose) {
  for (const run of verdict.runs) {
    print(`run ${run.run}, windows ${text(run.windows)}, ends ${run.lastEnd}`)
    for (const entry of run.entries) print(`  ${text(entry)}`)
  }
}
print(`faults that acted: ${text(outcome.fired)}`)
print(`halts: ${text(outcome.capture.halts)}`)
print(`coverage ended: ${text(verdict.ended)}`)
print(`counted: ${text(verdict.counts)}`)
print(
  `${verdict.rows} rows in ${(performance.now() - started).toFixed(0)} ms, live at the end: ${outcome.live}`,
)
for (const { rule, evidence } of verdict.violations) print(`VIOLATION ${rule}: ${evidence}`)
process.exit(verdict.violations.length === 0 ? 0 : 1)

function follow(window: number, input: Input): void {
  const { received, kind, ...rest } = input
  const short: Record<string, unknown> = { ...rest }
  for (const bytes of ['payload', 'body']) {
    const value = short[bytes]
    if (value instanceof Uint8Array) short[bytes] = Buffer.from(value).toString('utf8').slice(0, 160)
  }
  print(`${clock(received)} window ${window} ${kind} ${text(short)}`)
}
