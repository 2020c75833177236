import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { OperatorMetrics } from '../../operator/metrics.ts'
import type { Facts } from '../../operator/plan/mod.ts'

const FACTS: Facts = {
  exchange: 'BinanceUsdm',
  symbols: {},
  halts: [],
  suspect: undefined,
  share: 1,
  symbolsPerAddress: 1,
  foreignPods: 0,
  handovers: [],
}

async function suspects(...facts: Partial<Facts>[]): Promise<string[]> {
  const metrics = new OperatorMetrics()
  metrics.watch({
    queueLength: () => 0,
    unfinishedSeconds: () => 0,
    longestRunningSeconds: () => 0,
    workers: 1,
    activeWorkers: () => 0,
    isLeader: () => true,
    leaseName: 'l2cap-operator',
    stalenessSeconds: () => ({}),
    polls: () => ({ answered: 0, failed: 0 }),
  })
  for (const [at, one] of facts.entries()) metrics.take(`md/c${at}`, { ...FACTS, ...one })
  const { text } = await metrics.text()
  return text.split('\n').filter((line) => line.startsWith('l2cap_operator_exchange_suspect'))
}

describe('metrics of the operator', () => {
  it('an exchange is suspect as soon as one of its captures says so, in whatever order they are looked at', async () => {
    const suspect = { suspect: 'StaleFeed' }
    for (const facts of [
      [suspect, {}],
      [{}, suspect],
    ])
      assert.deepEqual(await suspects(...facts), [
        'l2cap_operator_exchange_suspect{exchange="BinanceUsdm"} 1',
      ])
    assert.deepEqual(await suspects({}), ['l2cap_operator_exchange_suspect{exchange="BinanceUsdm"} 0'])
  })

  it('a capture whose spec cannot be read has no exchange, and no figure', async () => {
    assert.deepEqual(await suspects({ exchange: '' }), [])
  })
})
