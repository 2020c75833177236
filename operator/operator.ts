import type { V1Pod } from '@kubernetes/client-node'
import type { Logger } from 'pino'
import { LABELS } from '../api/labels.ts'
import type { L2CaptureResource } from '../api/resource.ts'
import { Cluster, capturesPath, POD_SELECTOR, podsPath } from './cluster.ts'
import {
  type Connection,
  Elector,
  EventRecorder,
  electorTimes,
  KubeClient,
  type Log,
  leaseApi,
  Reflector,
  type System,
  WorkQueue,
} from './kube/mod.ts'
import type { OperatorMetrics } from './metrics.ts'
import type { Options } from './options.ts'
import { Memory } from './plan/mod.ts'
import { StatusPoller } from './poller.ts'
import { failureText, Reconciler } from './reconciler.ts'

/** A stop waits so long for what is being written. */
const STOPS_WITHIN_MS = 10_000
/** A look that takes so long, or an elector that tried nothing for so long, is wedged. */
const WEDGED_SECONDS = 180
const QUEUE_NAME = 'l2capture'

export interface OperatorDeps {
  readonly connection: Connection
  readonly system: System
  readonly log: Logger
  readonly metrics: OperatorMetrics
}

/**
 * The operator's process: caches of captures and pods in every replica, and in the one that leads the workers that
 * look at captures, and the poller. Losing the lease ends the process: nothing that it began goes on.
 */
export class Operator {
  /** Resolves when it has ended: 'stopped' when it was asked to, else why. */
  readonly ended: Promise<string>
  readonly #options: Options
  readonly #deps: OperatorDeps
  readonly #stop = new AbortController()
  readonly #end = Promise.withResolvers<string>()
  readonly #captures: Reflector<L2CaptureResource>
  readonly #pods: Reflector<V1Pod>
  readonly #queue: WorkQueue
  readonly #elector: Elector
  readonly #events: EventRecorder
  readonly #reconciler: Reconciler
  readonly #poller: StatusPoller
  readonly #running: Promise<unknown>[] = []
  #elections: Promise<unknown> = Promise.resolve()
  #workers: Promise<void>[] = []
  #active = 0
  #resync: NodeJS.Timeout | undefined
  #synced = false

  constructor(options: Options, deps: OperatorDeps) {
    const { connection, system, metrics } = deps
    const { namespace, settings, identity } = options
    this.#options = options
    this.#deps = deps
    this.ended = this.#end.promise
    const log = logOf(deps.log)
    const limits = { relistMs: options.relistSeconds * 1000 }
    const reading = new KubeClient({ connection, system, meter: metrics })
    const writing = new KubeClient({
      connection,
      system,
      meter: metrics,
      fence: () => this.#elector.mayWrite(),
    })
    this.#queue = new WorkQueue({ name: QUEUE_NAME, system, meter: metrics })
    this.#captures = new Reflector<L2CaptureResource>({
      client: reading,
      path: capturesPath(namespace),
      name: 'l2captures',
      system,
      meter: metrics,
      log,
      limits,
      handlers: {
        added: (capture) => this.#captureChanged(capture, true),
        updated: (before, capture) =>
          this.#captureChanged(capture, before.metadata.generation !== capture.metadata.generation),
        deleted: (capture) => this.#captureChanged(capture, true),
      },
    })
    this.#pods = new Reflector<V1Pod>({
      client: reading,
      path: podsPath(namespace),
      query: { labelSelector: POD_SELECTOR },
      name: 'pods',
      system,
      meter: metrics,
      log,
      limits,
      handlers: {
        added: (pod) => this.#podChanged(pod),
        updated: (_before, pod) => this.#podChanged(pod),
        deleted: (pod) => this.#podChanged(pod),
      },
    })
    this.#elector = new Elector({
      // its own client: no fence, and no queue of other requests before a renewal
      leases: leaseApi(
        new KubeClient({ connection, system, meter: metrics }),
        leaseNamespace(options, connection),
        options.leaseName,
      ),
      identity,
      system,
      times: electorTimes(options.leaseSeconds),
      meter: metrics,
      log,
      onElected: () => this.#lead(),
      onLost: (why) => this.#end.resolve(`the lease is lost: ${why}`),
    })
    this.#events = new EventRecorder({
      client: writing,
      controller: 'l2cap-operator',
      instance: identity,
      system,
      meter: metrics,
    })
    this.#poller = new StatusPoller({
      pods: () => this.#pods.store.all(),
      everyMs: settings.times.statusPollSeconds * 1000,
      now: () => system.clock.wallMs(),
      onChange: (pod) => this.#podChanged(pod),
    })
    this.#reconciler = new Reconciler({
      view: {
        capture: (ns, name) => this.#captures.store.get(ns, name),
        captures: () => this.#captures.store.all(),
        pods: () => this.#pods.store.all(),
        statuses: this.#poller.statuses,
      },
      cluster: new Cluster(writing),
      memory: new Memory(system.clock.wallMs()),
      settings,
      events: this.#events,
      log: deps.log,
      now: () => system.clock.wallMs(),
      onFacts: (key, facts) => metrics.take(key, facts),
      onAction: (kind, cause) => metrics.acted(kind, cause),
    })
    this.#watchMetrics()
  }

  /** Why the process should be started anew; empty where all is well. */
  get stuck(): string {
    const { signal } = this.#stop
    if (signal.aborted) return ''
    if (this.#elector.secondsSinceAttempt() > WEDGED_SECONDS)
      return `no attempt at the lease for ${Math.round(this.#elector.secondsSinceAttempt())} s`
    for (const reflector of [this.#captures, this.#pods]) {
      if (reflector.secondsSinceAttempt() > 2 * WEDGED_SECONDS + 600)
        return `the reflector of ${reflector.name} did nothing for ${Math.round(reflector.secondsSinceAttempt())} s`
    }
    if (this.#queue.longestRunningSeconds() > WEDGED_SECONDS)
      return `one look takes ${Math.round(this.#queue.longestRunningSeconds())} s`
    return ''
  }

  /** The caches are filled: a replica that stands by is ready as well. */
  get ready(): boolean {
    return this.#synced && !this.#stop.signal.aborted
  }

  get isLeader(): boolean {
    return this.#elector.isLeader
  }

  start(): void {
    const { signal } = this.#stop
    this.#running.push(this.#captures.run(signal), this.#pods.run(signal))
    void this.#follow()
  }

  /** In order: what is being written is finished, events are told, the lease is given back. */
  async stop(): Promise<void> {
    if (this.#resync !== undefined) clearInterval(this.#resync)
    this.#poller.stop()
    this.#queue.shutDown()
    await within(STOPS_WITHIN_MS, Promise.all(this.#workers))
    await within(STOPS_WITHIN_MS, this.#events.stop())
    this.#stop.abort()
    await within(STOPS_WITHIN_MS, this.#elections)
    await within(STOPS_WITHIN_MS, Promise.all(this.#running))
    this.#end.resolve('stopped')
  }

  /** Stands for election once the caches are filled: who leads can act at once. */
  async #follow(): Promise<void> {
    try {
      await Promise.all([this.#captures.synced, this.#pods.synced])
    } catch (error) {
      // a cache that is stopped before its first list says so; nothing else ends it
      if (this.#stop.signal.aborted) return
      throw error
    }
    this.#synced = true
    if (this.#stop.signal.aborted) return
    this.#deps.log.info('the caches are filled; standing for election')
    this.#elections = this.#elector.run(this.#stop.signal)
  }

  #lead(): void {
    const { log } = this.#deps
    log.info({ workers: this.#options.workers }, 'elected: this replica leads')
    this.#workers = Array.from({ length: this.#options.workers }, () => this.#work())
    this.#poller.start()
    this.#enqueueAll()
    // a plan is level-based: it may be made at any time
    this.#resync = setInterval(() => this.#enqueueAll(), this.#options.resyncSeconds * 1000)
    this.#resync.unref()
  }

  async #work(): Promise<void> {
    for (;;) {
      const key = await this.#queue.get()
      if (key === undefined) return
      this.#active++
      await this.#look(key)
      this.#active--
      this.#queue.done(key)
    }
  }

  /** Never rejects. */
  async #look(key: string): Promise<void> {
    const { metrics, log, system } = this.#deps
    const startedMs = system.clock.monotonicMs()
    const seconds = () => (system.clock.monotonicMs() - startedMs) / 1000
    try {
      const againMs = await this.#reconciler.reconcile(key)
      this.#queue.forget(key)
      if (againMs !== undefined) this.#queue.addAfter(key, againMs)
      metrics.reconciled(againMs === undefined ? 'success' : 'requeue_after', seconds())
    } catch (error) {
      const [namespace, name] = key.split('/')
      log.warn({ namespace, name, failures: this.#queue.failures(key) + 1 }, failureText(error))
      this.#queue.addRateLimited(key)
      metrics.reconciled('error', seconds())
    }
  }

  /** A capture that comes, goes or changes its symbols concerns all others of its exchange: shares and conflicts. */
  #captureChanged(capture: L2CaptureResource, others: boolean): void {
    this.#queue.add(`${capture.metadata.namespace}/${capture.metadata.name}`)
    if (others) this.#enqueueAll()
  }

  #podChanged(pod: V1Pod): void {
    const capture = pod.metadata?.labels?.[LABELS.capture]
    if (capture !== undefined) this.#queue.add(`${pod.metadata?.namespace}/${capture}`)
  }

  #enqueueAll(): void {
    for (const { metadata } of this.#captures.store.all())
      this.#queue.add(`${metadata.namespace}/${metadata.name}`)
  }

  #watchMetrics(): void {
    this.#deps.metrics.watch({
      queueLength: () => this.#queue.length,
      unfinishedSeconds: () => this.#queue.unfinishedSeconds(),
      longestRunningSeconds: () => this.#queue.longestRunningSeconds(),
      workers: this.#options.workers,
      activeWorkers: () => this.#active,
      isLeader: () => this.#elector.isLeader,
      leaseName: this.#options.leaseName,
      stalenessSeconds: () => ({
        l2captures: this.#captures.stalenessSeconds(),
        pods: this.#pods.stalenessSeconds(),
      }),
      polls: () => this.#poller.counts,
    })
  }
}

function leaseNamespace(options: Options, connection: Connection): string {
  const { leaseNamespace, namespace } = options
  return leaseNamespace ?? connection.namespace ?? namespace ?? 'default'
}

function logOf(logger: Logger): Log {
  return (level, message, fields) => logger[level](fields ?? {}, message)
}

async function within(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise((done) => {
    timer = setTimeout(done, ms)
  })
  await Promise.race([work, late])
  clearTimeout(timer)
}
