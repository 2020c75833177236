/**
 * What the operator costs: a fleet of captures on hollow pods, from nothing to all live under no pacing, against a plain
 * client that creates as many pods on the same API server; and what it asks of that server when nothing changes.
 */
import type { V1Pod } from '@kubernetes/client-node'
import type { L2CaptureResource } from '../../api/resource.ts'
import { type AuditEvent, ownClusterProblem, startControlPlane, type TestContext } from '../cluster/mod.ts'
import { openStage, type Stage } from '../e2e/stage.ts'
import { waitFor } from '../support/wait.ts'

const WITHIN_MS = 600_000
const EVERY_MS = 250
/** As many as the operator's workers: the baseline shall not win by doing more at once. */
const AT_ONCE = 4
const LEASE = 'leases'

export interface OperatorSizes {
  readonly captures: number
  readonly symbolsEach: number
  /** Looks at each capture while nothing changes. */
  readonly idleRounds: number
}

export interface OperatorResult {
  readonly captures: number
  readonly symbols: number
  /** From the first capture applied to the last pod created, and to the last one live. Milliseconds. */
  readonly createdMs: number
  readonly liveMs: number
  /** A plain client creates as many pods, so many at once. Milliseconds. */
  readonly plainMs: number
  /** All requests until everything was live, but for the lease. */
  readonly requests: number
  /** One look at a capture while the fleet starts, an upper bound from the histogram. Milliseconds. */
  readonly reconcileP99Ms: number
  /** Looks while nothing changed, and requests of theirs. */
  readonly idleLooks: number
  readonly idleRequests: number
  readonly residentBytes: number
}

export interface OperatorSkipped {
  readonly skipped: string
}

export async function measureOperator(sizes: OperatorSizes): Promise<OperatorResult | OperatorSkipped> {
  const problem = ownClusterProblem()
  if (problem !== '') return { skipped: problem }
  const work: (() => Promise<void>)[] = []
  try {
    return await measure({ after: (end) => void work.push(end) }, sizes)
  } finally {
    for (const end of work) await end()
  }
}

async function measure(context: TestContext, sizes: OperatorSizes): Promise<OperatorResult> {
  const cluster = await startControlPlane()
  const stage = await openStage(context, {
    cluster,
    settings: { times: { statusPollSeconds: 15 }, limits: { startsPerMinute: 10_000 } },
    kubelet: { probeMs: 1000, startMs: 0 },
  })
  context.after(() => cluster.stop())
  const { scene } = stage
  const operator = scene.startOperator({ args: ['--resync-seconds', '3'] })
  await operator.leads()
  const symbols = sizes.captures * sizes.symbolsEach
  const startedMs = performance.now()
  await atOnce(range(sizes.captures), async (capture) => {
    const names = range(sizes.symbolsEach).map((symbol) => `S${capture}N${symbol}USDT`)
    await scene.apply(`fleet-${capture}`, { symbols: names })
  })
  await until('all pods to be created', async () => (await countOf(stage)) === symbols)
  const createdMs = performance.now() - startedMs
  await until('all pods to be live', async () => (await liveOf(stage)) === symbols)
  const liveMs = performance.now() - startedMs
  const requests = (await requestsOf(stage)).length
  const reconcileP99Ms = quantileMs(await operator.metrics(), 0.99)
  const idle = await measureIdle(stage, sizes)
  const residentBytes = Number(/^process_resident_memory_bytes (\S+)$/m.exec(await operator.metrics())?.[1])
  await operator.stop()
  const plainMs = await measurePlain(stage, context, symbols)
  return {
    captures: sizes.captures,
    symbols,
    createdMs,
    liveMs,
    plainMs,
    requests,
    reconcileP99Ms,
    ...idle,
    residentBytes,
  }
}

/** Whole rounds of looks in which nothing is to be done; what was still on its way before them is let end first. */
async function measureIdle(stage: Stage, { captures, idleRounds }: OperatorSizes) {
  const { operator } = stage.scene
  const settledAt = await operator.looks()
  await until('the last looks', async () => (await operator.looks()) >= settledAt + captures * 2)
  const [looks, before] = [await operator.looks(), (await looksRequests(stage)).length]
  await until('idle looks', async () => (await operator.looks()) >= looks + captures * idleRounds)
  const idleLooks = (await operator.looks()) - looks
  return { idleLooks, idleRequests: (await looksRequests(stage)).length - before }
}

/** The same pods again in a namespace that nobody runs: only the server's own time counts. */
async function measurePlain({ scene }: Stage, context: TestContext, count: number): Promise<number> {
  const { api } = scene.cluster
  const namespace = await scene.cluster.namespace(context, 'plain')
  const [{ metadata, spec } = {} as V1Pod] = await scene.pods()
  const { nodeName: _, ...unbound } = spec ?? { containers: [] }
  const startedMs = performance.now()
  await atOnce(range(count), async (number) => {
    const { labels, annotations } = metadata ?? {}
    const pod = { metadata: { name: `plain-${number}`, labels, annotations }, spec: unbound }
    await api.create(`/api/v1/namespaces/${namespace}/pods`, pod)
  })
  return performance.now() - startedMs
}

/** Asked of the server by the operator, but for its lease. */
async function requestsOf({ scene, account }: Stage): Promise<AuditEvent[]> {
  const asked = await scene.cluster.audit({ user: account.user })
  return asked.filter(({ objectRef }) => objectRef?.resource !== LEASE)
}

/** Without events, which tell of what was done a while before, and the reflectors' own reads. */
async function looksRequests(stage: Stage): Promise<AuditEvent[]> {
  const asked = await requestsOf(stage)
  return asked.filter(
    ({ verb, objectRef }) => objectRef?.resource !== 'events' && !['list', 'watch'].includes(verb),
  )
}

async function countOf({ scene }: Stage): Promise<number> {
  const path = `/api/v1/namespaces/${scene.namespace}/pods?limit=1`
  const list = await scene.cluster.api.get<{ metadata: { remainingItemCount?: number }; items: V1Pod[] }>(
    path,
  )
  return list.items.length + (list.metadata.remainingItemCount ?? 0)
}

async function liveOf({ scene }: Stage): Promise<number> {
  const captures = await scene.cluster.api.list<L2CaptureResource>(scene.captures)
  return captures.reduce((sum, { status }) => sum + (isDone(status) ? (status?.symbols?.live ?? 0) : 0), 0)
}

function isDone(status: L2CaptureResource['status']): boolean {
  return status?.conditions?.find(({ type }) => type === 'Reconciling')?.status === 'False'
}

/** The upper end of the histogram's bucket that holds the quantile. */
function quantileMs(metrics: string, quantile: number): number {
  const lines = metrics.matchAll(
    /^controller_runtime_reconcile_time_seconds_bucket\{le="([^"]+)".*\} (\d+)$/gm,
  )
  const buckets = [...lines].map(([, bound, count]) => ({ bound: Number(bound), count: Number(count) }))
  const all = Math.max(0, ...buckets.map(({ count }) => count))
  const bucket = buckets.find(({ count }) => count >= all * quantile)
  return (bucket?.bound ?? Number.POSITIVE_INFINITY) * 1000
}

async function until(what: string, check: () => Promise<boolean>): Promise<void> {
  await waitFor(what, check, { deadlineMs: WITHIN_MS, everyMs: EVERY_MS })
}

async function atOnce<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items]
  const hand = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await act(item)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, hand))
}

function range(length: number): number[] {
  return Array.from({ length }, (_, at) => at)
}
