import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { runCampaign } from './campaign.ts'
import { planOf } from './plan.ts'
import { report, shrink } from './shrink.ts'

const SEEDS = Number(process.env['SEEDS'] ?? 2000)
const FROM = Number(process.env['FROM'] ?? 1)
/** So often, in seeds, every kind of fault must act and every guard trip in 2,000 seeds. */
const MET_MIN = 20
const PER_SEEDS = 2000
const SHRUNK_MAX = 2

describe(`${SEEDS} seeds in virtual time, from ${FROM}`, () => {
  it('record what is proven and nothing else, whatever goes wrong; every fault acts, every guard trips', async () => {
    const progress = (line: string) => process.stdout.write(`  ${line}\n`)
    const tally = await runCampaign({ from: FROM, seeds: SEEDS, workers: 2, progress })
    process.stdout.write(`${tally.table()}\n`)
    const failures: string[] = []
    for (const failed of tally.failed.slice(0, SHRUNK_MAX)) {
      failures.push(report(failed, await shrink(planOf(failed.seed), failed)))
    }
    const seeds = tally.failed.map(({ seed }) => seed)
    assert.equal(
      tally.failed.length,
      0,
      `seeds ${seeds.slice(0, 20).join(', ')} failed\n${failures.join('\n')}`,
    )
    assert.equal(tally.seeds, SEEDS)
    if (SEEDS >= PER_SEEDS) {
      const min = Math.floor((MET_MIN * SEEDS) / PER_SEEDS)
      assert.deepEqual(tally.missing(min), [], `met in fewer than ${min} seeds`)
    }
  })
})
