import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { ownClusterProblem, type TestContext } from '../cluster/mod.ts'
import type { FaultProxy, Match, SeenRequest } from '../cluster/proxy/mod.ts'
import { waitFor } from '../support/wait.ts'
import { bySymbol, podWrites } from './census.ts'
import { create, edit, openStage, play, type Stage, type Step, startOperator } from './stage.ts'

const problem = ownClusterProblem()
const options = problem === '' ? { concurrency: 3 } : { skip: problem }

interface Counted {
  readonly fired: number
  remove(): void
}

/** A fault of the API server that is there during one step. */
interface Fault {
  readonly name: string
  on(proxy: FaultProxy): readonly Counted[]
  /** Nobody can know that a delete was done: it is asked for again, of that very pod by its UID. */
  readonly deletesAgain?: boolean
}

/** The step that comes n-th: whatever fails, pods come and go, one by one and all at once. */
function step(n: number): Step {
  if (n === 0) return create(['BTCUSDT'])
  switch (n % 5) {
    case 1:
      return edit('add ETHUSDT', ['BTCUSDT', 'ETHUSDT'], { symbols: ['BTCUSDT', 'ETHUSDT'] })
    case 2:
      return edit('another template', ['BTCUSDT', 'ETHUSDT'], { bookLevels: 10 + n }, true)
    case 3:
      return edit('remove ETHUSDT', ['BTCUSDT'], { symbols: ['BTCUSDT'] })
    case 4:
      return edit('suspend', [], { suspend: true })
    default:
      return edit('resume', ['BTCUSDT'], { suspend: false })
  }
}

/** All but the Lease: without it the operator has to end, and that is another test. */
const work: Match = { where: ({ resource }: SeenRequest) => resource !== 'leases' }
const writes: Match = {
  verbs: ['create', 'update', 'patch', 'delete'],
  where: ({ resource }: SeenRequest) => resource !== 'leases' && resource !== 'events',
}

function answers(status: number, when: Match, more: object = {}, times = 4): Fault['on'] {
  return (proxy) => [proxy.fault({ when, times, do: { kind: 'answer', status, ...more } })]
}

const REQUEST_FAULTS: readonly Fault[] = [
  { name: '403 of every write', on: answers(403, writes) },
  { name: '500', on: answers(500, work) },
  { name: '503 without a word', on: answers(503, work, {}, 6) },
  { name: '429 with Retry-After', on: answers(429, work, { retryAfterSeconds: 1 }) },
  {
    name: 'done, and the answer lost',
    on: (proxy) => [proxy.fault({ when: writes, times: 3, do: 'lose-reply' })],
    deletesAgain: true,
  },
  {
    name: 'done, and half of an answer',
    on: (proxy) => [proxy.fault({ when: writes, times: 3, do: 'half-reply' })],
    deletesAgain: true,
  },
  { name: 'connections break', on: (proxy) => [proxy.fault({ when: work, times: 6, do: 'cut' })] },
  { name: 'a write hangs', on: (proxy) => [proxy.fault({ when: writes, times: 1, do: 'hang' })] },
  { name: 'all is slow', on: (proxy) => [proxy.fault({ when: work, do: { kind: 'delay', ms: 300 } })] },
  { name: 'the status is refused', on: answers(409, { resource: 'l2captures/status' }, {}, 3) },
]

const watches: Match = { verbs: ['watch'] }

const WATCH_FAULTS: readonly Fault[] = [
  { name: 'truncated lines', on: (proxy) => [proxy.tamper({ times: 3, do: 'truncate' })] },
  { name: '410 in the stream', on: (proxy) => [proxy.tamper({ times: 3, do: 'gone' })] },
  {
    name: '410 as an answer, and lists that fail',
    on: (proxy) => [
      proxy.strike({ times: 2, do: 'end' }),
      ...answers(410, watches, { reason: 'Expired' }, 2)(proxy),
      ...answers(500, { verbs: ['list'] }, {}, 2)(proxy),
    ],
  },
  { name: 'every event twice', on: (proxy) => [proxy.tamper({ do: 'duplicate' })] },
  { name: 'events out of order', on: (proxy) => [proxy.tamper({ do: 'swap' })] },
  { name: 'events late', on: (proxy) => [proxy.tamper({ do: { kind: 'delay', ms: 400 } })] },
  {
    name: 'an error in the stream',
    on: (proxy) => [proxy.tamper({ times: 3, do: { kind: 'error', status: 500 } })],
  },
  { name: 'watches that end at each event', on: (proxy) => [proxy.tamper({ times: 4, do: 'end' })] },
  { name: 'watches that break at each event', on: (proxy) => [proxy.tamper({ times: 4, do: 'cut' })] },
]

/** Nothing of these is ever told: only lists that are read anew now and then find it. */
const SILENT_FAULTS: readonly Fault[] = [
  { name: 'half-open watches', on: (proxy) => [proxy.strike({ do: 'freeze' })] },
  { name: 'events that never come', on: (proxy) => [proxy.tamper({ do: 'drop' })] },
]

/** What the operator writes where nothing fails, after each step. */
async function reference(context: TestContext, steps: number): Promise<Record<string, number>[]> {
  const stage = await openStage(context)
  await startOperator(stage).leads()
  const counts: Record<string, number>[] = []
  for (let n = 0; n < steps; n++) {
    const before = stage.proxy.writes.length
    await play(stage, step(n))
    counts.push(podWrites(stage.proxy, before))
  }
  return counts
}

/** Each step under its fault. All the time it is one process, and no pod is created or deleted once too often. */
async function live(
  context: TestContext,
  faults: readonly Fault[],
  args: readonly string[] = [],
): Promise<Stage> {
  const expected = reference(context, faults.length)
  const stage = await openStage(context)
  const operator = startOperator(stage, args)
  await operator.leads()
  for (const [n, { name, on, deletesAgain }] of faults.entries()) {
    const before = stage.proxy.writes.length
    const rules = on(stage.proxy)
    const { name: what, ...rest } = step(n)
    await play(stage, { ...rest, name: `${what} under: ${name}` })
    for (const [index, rule] of rules.entries()) {
      assert.ok(rule.fired > 0, `${name}: rule ${index} was never there`)
      rule.remove()
    }
    assert.equal(operator.hasEnded, false, `${name}: ${operator.output.slice(-2000)}`)
    const counts = Object.entries(podWrites(stage.proxy, before))
    const once = Object.fromEntries(
      counts.map(([write, count]) => [write, isDelete(write) && deletesAgain ? 1 : count]),
    )
    const twice = Object.entries(once).filter(([, count]) => count !== 1)
    assert.deepEqual(twice, [], `${name}: of one pod twice`)
    // who sees a pod go late gives the next one a higher number
    assert.deepEqual(bySymbol(once), bySymbol((await expected)[n] ?? {}), name)
  }
  return stage
}

function isDelete(write: string): boolean {
  return write.startsWith('delete ')
}

describe(
  'an API server that fails: the operator heals without a restart, and writes nothing twice',
  options,
  () => {
    it('requests: refused, broken, lost, hung, slow', async (context) => {
      const { scene } = await live(context, REQUEST_FAULTS)
      assert.ok((await scene.events()).some((event) => event.startsWith('PodRefused: ')))
    })

    it('watches: cut, out of date, out of order, twice, late', async (context) => {
      await live(context, WATCH_FAULTS)
    })

    it('watches that say nothing of what happens: lists find it', async (context) => {
      const { scene } = await live(context, SILENT_FAULTS, ['--relist-seconds', '3'])
      const metrics = await scene.operator.metrics()
      assert.match(metrics, /^l2cap_operator_missed_by_watch_total\{.*\} [1-9]/m)
    })

    it('a token that is valid no more: the file is read again', async (context) => {
      const stage = await openStage(context)
      const { scene, proxy, account } = stage
      const file = join(scene.dir, 'token')
      await writeFile(file, account.token)
      const operator = scene.startOperator({ kubeconfig: await withTokenFile(stage, file) })
      await operator.leads()
      await play(stage, step(0))
      const fresh = await scene.cluster.token(scene.namespace, 'l2cap-operator')
      const old = proxy.fault({
        when: { where: ({ headers }) => headers.authorization === `Bearer ${account.token}` },
        do: { kind: 'answer', status: 401, reason: 'Unauthorized' },
      })
      proxy.strike({ times: 2, do: 'cut' })
      await old.whenFired()
      await writeFile(file, fresh)
      await play(stage, step(1))
      await waitFor(
        'watches under the new token',
        () => proxy.watches.filter(({ headers }) => headers.authorization === `Bearer ${fresh}`).length === 2,
      )
      assert.equal(operator.hasEnded, false)
    })
  },
)

/** A kubeconfig as a Pod's: the token lies in a file, and may change. */
async function withTokenFile({ scene, proxy }: Stage, tokenFile: string): Promise<string> {
  const path = join(scene.dir, 'kubeconfig')
  const ca =
    proxy.ca === undefined ? {} : { 'certificate-authority-data': Buffer.from(proxy.ca).toString('base64') }
  const one = { cluster: 'test', user: 'test' }
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    contexts: [{ name: 'test', context: one }],
    clusters: [{ name: 'test', cluster: { server: proxy.server, ...ca } }],
    users: [{ name: 'test', user: { tokenFile } }],
  }
  await writeFile(path, JSON.stringify(config))
  return path
}
