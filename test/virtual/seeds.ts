/**
 * A campaign over many seeds on all cores: `SEEDS=1000000 npm run seeds`, from `FROM` on (1). Prints progress, a table
 * of faults against outcomes, and the seeds that failed; ends with 1 if any did.
 */
import { runCampaign } from './campaign.ts'
import { planOf } from './plan.ts'
import { report, shrink } from './shrink.ts'

const SEEDS = 20_000
const LISTED_MAX = 20
const SHRUNK_MAX = 3

const seeds = Number(process.env['SEEDS'] ?? SEEDS)
const from = Number(process.env['FROM'] ?? 1)
if (!Number.isInteger(seeds) || seeds < 1 || !Number.isInteger(from)) {
  process.stderr.write('SEEDS and FROM are whole numbers, SEEDS at least 1\n')
  process.exit(2)
}
const print = (line: string) => process.stdout.write(`${line}\n`)
const stop = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    print('stopped: finishes what is under way, and tells what there is')
    stop.abort()
  })
}
const tally = await runCampaign({ from, seeds, progress: print, signal: stop.signal })
print(tally.table())
print(`in fewer than 20 seeds: ${tally.missing(20).join(', ')}`)
for (const failed of tally.failed.slice(0, SHRUNK_MAX)) {
  print(report(failed, await shrink(planOf(failed.seed), failed)))
}
for (const { seed, violations } of tally.failed.slice(0, LISTED_MAX)) {
  print(`failed: ${seed}: ${violations.map(({ rule }) => rule).join(', ')}`)
}
print(tally.failed.length === 0 ? 'no seed failed' : `${tally.failed.length} seeds failed`)
process.exit(tally.failed.length === 0 ? 0 : 1)
