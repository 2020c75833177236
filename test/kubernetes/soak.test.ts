/**
 * Many symbols for a while under mixed faults, decided by a seed. Three minutes among the tests;
 * `npm run soak -- --minutes N --seed S` takes longer, or the same again.
 */
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout as until } from 'node:timers/promises'
import { ApiFailure } from '../cluster/mod.ts'
import { nameOf } from '../e2e/captures.ts'
import { judgeAlone, verified } from '../e2e/judged.ts'
import type { Summary } from '../support/judge.ts'
import { phases } from './phases.ts'
import { ClusterScene, OPERATOR_PORT } from './scene.ts'
import { Memory } from './soak-memory.ts'
import { type Blow, SOAK_ENV, soakPlan } from './soak-plan.ts'
import { targetProblem } from './target.ts'

const problem = targetProblem()
const options = problem === '' ? {} : { skip: problem }
/** Each is a process of about 0.03 cores and 200 MB here. */
const SYMBOLS_COUNT = 20
const SYMBOLS = Array.from({ length: SYMBOLS_COUNT }, (_, i) => `S${String(i + 1).padStart(2, '0')}USDT`)
const MINUTES = Number(process.env[SOAK_ENV.minutes] ?? 3)
const SEED = Number(process.env[SOAK_ENV.seed] ?? randomInt(2 ** 31))
/** Changes of a book a second: two cores are all there is. */
const RATE = 40
const ROTATION_S = 30
const LIVE_WITHIN_MS = 600_000
const GONE_WITHIN_MS = 600_000
const SAMPLE_EVERY_MS = 6_000
/** The median of a process over the second half of its time, beside that over the first; the average of all. */
const GROWTH_MAX = 0.1
/** The same of any one process: one that doubles does not hide behind the others. */
const GROWTH_OF_ONE_MAX = 0.6
/** Of all events that were emitted; faults, kills and joins anew cost the rest. */
const PUBLISHED_MIN = 0.75
/** What must have ended coverage, or this was no soak; `crash` where nodes may be hurt. */
const MUST_END = ['sequence', 'reconnect'] as const
const JUDGES = 2

/** What befell the scene, counted by kind. */
type Dealt = Record<Blow['kind'], number>

async function deal(context: TestContext, scene: ClusterScene, blow: Blow, dealt: Dealt): Promise<void> {
  switch (blow.kind) {
    case 'exchange':
      await scene.world.inject(blow.faults)
      break
    case 'store_away':
      await scene.world.killStore()
      break
    case 'store_back':
      await scene.world.startStore()
      break
    case 'kill': {
      const { nodes } = scene.target
      const pods = await scene.pods(blow.symbol)
      const running = pods
        .flatMap((pod) => pod.status?.containerStatuses ?? [])
        .find(({ state }) => state?.running)
      // somebody's nodes are left alone, and what does not run cannot be killed
      if (nodes === undefined || running?.containerID === undefined) return
      try {
        process.kill(await nodes.pidOf(running.containerID), 'SIGKILL')
      } catch (error) {
        // it ended since we looked; `runs` is held against what was dealt
        return void context.diagnostic(`nothing to kill of ${blow.symbol}: ${error}`)
      }
      break
    }
    case 'evict': {
      const pod = (await scene.pods(blow.symbol)).find(
        ({ metadata }) => metadata?.deletionTimestamp === undefined,
      )
      if (pod === undefined) return
      const metadata = { name: nameOf(pod), namespace: scene.namespace }
      const path = `/api/v1/namespaces/${scene.namespace}/pods/${nameOf(pod)}/eviction`
      try {
        await scene.api.create(path, { apiVersion: 'policy/v1', kind: 'Eviction', metadata })
      } catch (error) {
        if (!(error instanceof ApiFailure && error.status === 404)) throw error
        return void context.diagnostic(`nothing to evict of ${blow.symbol}: ${error.message}`)
      }
      break
    }
  }
  dealt[blow.kind]++
}

/** The time of the soak: what the plan says, when it says so, and a look at memory again and again. */
async function endure(context: TestContext, scene: ClusterScene, memory: Memory): Promise<Dealt> {
  const dealt: Dealt = { exchange: 0, kill: 0, evict: 0, store_away: 0, store_back: 0 }
  const [began, over] = [performance.now(), new AbortController()]
  const watching = (async () => {
    while (!over.signal.aborted) {
      await memory.sample(
        async () => [...(await scene.pods()), ...(await scene.operators())],
        (pod) => scene.ask<string>(pod, '/metrics', pod.includes('-operator-') ? OPERATOR_PORT : undefined),
      )
      await until(SAMPLE_EVERY_MS, undefined, { signal: over.signal }).catch(() => undefined)
    }
  })()
  try {
    for (const { atMs, blow } of soakPlan(SEED, MINUTES, SYMBOLS)) {
      // time is what is tested
      await until(Math.max(0, began + atMs - performance.now()))
      await deal(context, scene, blow, dealt)
    }
    await until(Math.max(0, began + MINUTES * 60_000 - performance.now()))
  } finally {
    over.abort()
    await watching
  }
  return dealt
}

/** Every symbol held against the truth, some at a time. Throws with the first fault. */
async function judgeAll(scene: ClusterScene): Promise<Summary[]> {
  const bucket = await scene.bucket()
  await verified(bucket)
  const [left, summaries] = [[...SYMBOLS], [] as Summary[]]
  await Promise.all(
    Array.from({ length: JUDGES }, async () => {
      for (let symbol = left.pop(); symbol !== undefined; symbol = left.pop())
        summaries.push(await judgeAlone(bucket, symbol, await scene.world.truth(symbol), scene.dir))
    }),
  )
  return summaries
}

function flat(context: TestContext, memory: Memory): void {
  const held = memory.held()
  const growth = held.map(({ first, second }) => second / first - 1)
  const average = growth.reduce((sum, one) => sum + one, 0) / growth.length
  const mib = (bytes: readonly number[]) =>
    Math.round(bytes.reduce((sum, one) => sum + one, 0) / bytes.length / 2 ** 20)
  const halves = [mib(held.map(({ first }) => first)), mib(held.map(({ second }) => second))]
  context.diagnostic(
    `memory of ${held.length} processes: ${halves.join(' → ')} MiB each, ${(average * 100).toFixed(1)} % more; ` +
      `the most ${(Math.max(...growth) * 100).toFixed(1)} %; ${memory.missed} scrapes missed`,
  )
  assert.ok(held.length >= SYMBOLS_COUNT / 2, `${held.length} processes lived long enough`)
  assert.ok(average <= GROWTH_MAX, JSON.stringify(held))
  assert.ok(Math.max(...growth) <= GROWTH_OF_ONE_MAX, JSON.stringify(held))
  assert.ok(
    held.some(({ process }) => process.includes('-operator-')),
    'the operator was looked at',
  )
}

const total = (summaries: readonly Summary[], of: (summary: Summary) => number | undefined) =>
  summaries.reduce((sum, summary) => sum + (of(summary) ?? 0), 0)

describe('a soak', options, () => {
  it(`${SYMBOLS_COUNT} symbols, ${MINUTES} minutes of mixed faults: each event once or outside coverage, memory flat (seed ${SEED})`, async (context) => {
    context.diagnostic(`the same again: npm run soak -- --minutes ${MINUTES} --seed ${SEED}`)
    const scene = await ClusterScene.open(context, {
      symbols: SYMBOLS,
      market: { seed: SEED, rate: RATE },
      settings: {
        times: { handoffSeconds: 10 },
        // every pod has its own address at this exchange
        addresses: SYMBOLS_COUNT,
        // two cores start so many
        limits: { startsPerMinute: 60 },
      },
    })
    const phase = phases(context)
    await scene.apply('soak', { symbols: SYMBOLS, rotationSeconds: ROTATION_S })
    await scene.until('soak', 'Ready', 'True', 'AllSymbolsLive', LIVE_WITHIN_MS)
    phase('all live')
    const memory = new Memory()
    const dealt = await endure(context, scene, memory)
    phase(`endured ${JSON.stringify(dealt)}`)
    await scene.until('soak', 'Ready', 'True', 'AllSymbolsLive', LIVE_WITHIN_MS)
    phase('all live again')
    await scene.delete('soak')
    await scene.gone(GONE_WITHIN_MS)
    phase('drained')
    const summaries = await judgeAll(scene)
    phase('judged')

    const [published, emitted] = [
      total(summaries, (one) => one.published['depth']),
      total(summaries, (one) => one.emitted['depth']),
    ]
    const runs = total(summaries, (one) => one.runs)
    const ended: Record<string, number> = {}
    for (const one of summaries)
      for (const [why, count] of Object.entries(one.ended)) ended[why] = (ended[why] ?? 0) + count
    context.diagnostic(
      `${published} of ${emitted} events of books, ${runs} runs, ended by ${JSON.stringify(ended)}`,
    )
    assert.equal(summaries.length, SYMBOLS_COUNT)
    // nodes of somebody else are left alone
    const due = scene.target.nodes === undefined ? { ...dealt, kill: 1 } : dealt
    for (const [kind, count] of Object.entries(due)) assert.ok(count > 0, `no ${kind} was dealt`)
    assert.ok(runs >= SYMBOLS_COUNT + dealt.kill + dealt.evict, `${runs} runs`)
    for (const why of [...MUST_END, ...(dealt.kill > 0 ? ['crash'] : [])])
      assert.ok((ended[why] ?? 0) > 0, `nothing ended by ${why}`)
    assert.ok(published / emitted >= PUBLISHED_MIN, `${published} of ${emitted}`)
    flat(context, memory)
  })
})
