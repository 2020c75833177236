import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { ownClusterProblem, type TestContext } from '../cluster/mod.ts'
import { type FaultProxy, ownProxy, type SeenRequest } from '../cluster/proxy/mod.ts'
import { buildWallClock, wallClock } from '../faults/wall-clock.ts'
import { waitFor } from '../support/wait.ts'
import type { OperatorProcess } from './operator-process.ts'
import { CAPTURE, create, edit, openStage, play, type Stage } from './stage.ts'

const problem = ownClusterProblem()
const options = problem === '' ? { concurrency: 3 } : { skip: problem }
/** A leader that stalls for two thirds of it loses it. */
const LEASE_SECONDS = 24
/** Under a changed clock: so many prove that the leader goes on. */
const RENEWALS_MIN = 3
/** From the end of the leader to another's first write, at most: the lease, two waits between attempts, and leeway. */
const TAKES_OVER_WITHIN_MS = 180_000
const HOUR_MS = 3_600_000
const WRITES = ['create', 'update', 'patch', 'delete']

const built = mkdtempSync(join(tmpdir(), 'l2cap-clock-'))
after(() => rmSync(built, { recursive: true, force: true }))

/** A replica, and the way by which it alone reaches the API server. */
interface Replica {
  readonly operator: OperatorProcess
  readonly proxy: FaultProxy
}

interface Pair extends Stage {
  readonly first: Replica
  readonly second: Replica
}

/** Two operators; the first leads and has work behind it. */
async function twoOperators(context: TestContext, env: Readonly<Record<string, string>> = {}): Promise<Pair> {
  const stage = await openStage(context)
  const first = await replica(context, stage, env)
  await first.operator.leads()
  await play(stage, create(['BTCUSDT']))
  const second = await replica(context, stage)
  await waitFor('the second operator to stand by', () => second.operator.output.includes('standing for'), {
    deadlineMs: 180_000,
  })
  return { ...stage, first, second }
}

async function replica(context: TestContext, stage: Stage, env = {}): Promise<Replica> {
  const proxy = await ownProxy(context, { target: stage.scene.cluster })
  const kubeconfig = proxy.kubeconfig(stage.account.token)
  const args = ['--lease-seconds', String(LEASE_SECONDS)]
  return { proxy, operator: stage.scene.startOperator({ kubeconfig, args, env }) }
}

/** What it wrote, but for the Lease. */
function written({ proxy }: Replica): SeenRequest[] {
  return proxy.requests.filter(({ verb, resource }) => WRITES.includes(verb) && resource !== 'leases')
}

function leads({ operator }: Replica): boolean {
  return operator.output.includes('this replica leads')
}

/** The other one takes over within the lease and does what is to be done; of the first nothing is written after. */
async function takesOver(pair: Pair, sinceMs: number): Promise<void> {
  const { first, second, scene } = pair
  await scene.patch(CAPTURE, { symbols: ['BTCUSDT', 'ETHUSDT'] })
  await waitFor('the second operator to lead', () => leads(second), {
    deadlineMs: TAKES_OVER_WITHIN_MS,
    everyMs: 20,
    show: () => second.operator.output.slice(-2000),
  })
  const tookMs = performance.now() - sinceMs
  const before = written(first).length
  assert.ok(tookMs > LEASE_SECONDS * 500, `not before the lease has run out: ${tookMs} ms`)
  await play(pair, edit('add ETHUSDT', ['BTCUSDT', 'ETHUSDT'], { symbols: ['BTCUSDT', 'ETHUSDT'] }))
  assert.ok(written(second).some(({ verb, resource }) => verb === 'create' && resource === 'pods'))
  assert.equal(written(first).length, before, 'nothing of the first after the second leads')
}

async function ends({ operator }: Replica): Promise<void> {
  await waitFor('the operator that lost its lease to end', () => operator.hasEnded, {
    deadlineMs: 180_000,
    show: () => operator.output.slice(-2000),
  })
  assert.notEqual((await operator.exit).code, 0)
  assert.match(operator.output, /the lease is lost/)
}

describe('two operators: never two that write, and the one that lost its lease ends', options, () => {
  it('the leader is stopped (SIGSTOP) and goes on later: it writes nothing any more', async (context) => {
    const pair = await twoOperators(context)
    pair.first.operator.signal('SIGSTOP')
    await takesOver(pair, performance.now())
    const before = written(pair.first).length
    pair.first.operator.signal('SIGCONT')
    await ends(pair.first)
    assert.equal(written(pair.first).length, before)
  })

  it('the leader alone cannot reach the API server: what it held back never arrives', async (context) => {
    const pair = await twoOperators(context)
    const partition = pair.first.proxy.partition()
    await takesOver(pair, performance.now())
    await ends(pair.first)
    partition.remove()
  })

  it('the leader ends in order: it gives the lease back, and nobody waits', async (context) => {
    const pair = await twoOperators(context)
    const startedMs = performance.now()
    assert.equal(await pair.first.operator.stop(), 0)
    await waitFor('the second operator to lead', () => leads(pair.second), {
      deadlineMs: TAKES_OVER_WITHIN_MS,
    })
    const tookMs = Math.round(performance.now() - startedMs)
    context.diagnostic(`the second leads ${tookMs} ms after the first was asked to end`)
    await play(pair, edit('remove all but ETHUSDT', ['ETHUSDT'], { symbols: ['ETHUSDT'] }))
  })

  it("the leader's clock is set an hour on, and an hour back: it leads on, and nobody else does", async (context) => {
    const missing = buildWallClock(built)
    if (missing !== '') return context.skip(missing)
    const clock = wallClock(built, built)
    const pair = await twoOperators(context, clock.env)
    for (const [step, offsetMs] of [HOUR_MS, -HOUR_MS].entries()) {
      clock.set(offsetMs)
      const renewals = pair.first.proxy.requests.length
      const changedMs = performance.now()
      const symbols = step === 0 ? ['ETHUSDT'] : ['BTCUSDT']
      await play(pair, edit(`only ${symbols}`, symbols, { symbols }))
      // beyond one whole lease
      await waitFor(
        'renewals under the changed clock',
        () =>
          performance.now() - changedMs > (LEASE_SECONDS + 2) * 1000 &&
          renewed(pair.first, renewals) >= RENEWALS_MIN,
        {
          deadlineMs: 180_000,
        },
      )
    }
    assert.equal(leads(pair.second), false)
    assert.equal(written(pair.second).length, 0)
    assert.equal(pair.first.operator.hasEnded, false)
  })
})

/** Renewals that were sent after so many requests. */
function renewed({ proxy }: Replica, after: number): number {
  return proxy.requests
    .slice(after)
    .filter(({ verb, resource }) => verb === 'update' && resource === 'leases').length
}
