import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { METRICS as KUBE_METRICS, type Meter } from './kube/mod.ts'
import type { Facts } from './plan/mod.ts'

const QUEUE_SECONDS = [0.0001, 0.001, 0.01, 0.1, 1, 10, 100]
const RECONCILE_SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30]
const HANDOVER_SECONDS = [1, 5, 10, 30, 60, 120, 300, 600, 1200, 3600]
const CONTROLLER = 'l2capture'
/** Of happenings that were counted, so many are remembered, that none is counted twice. */
const COUNTED_MAX = 20_000

export type Result = 'success' | 'error' | 'requeue_after'

/** What is read at a scrape. */
export interface Sources {
  readonly queueLength: () => number
  readonly unfinishedSeconds: () => number
  readonly longestRunningSeconds: () => number
  readonly workers: number
  readonly activeWorkers: () => number
  readonly isLeader: () => boolean
  readonly leaseName: string
  readonly stalenessSeconds: () => Readonly<Record<string, number>>
  readonly polls: () => { readonly answered: number; readonly failed: number }
}

/**
 * The figures of the operator, under controller-runtime's names where there are such, so that stock dashboards work,
 * and our own of captures.
 */
export class OperatorMetrics implements Meter {
  readonly #registry = new Registry()
  readonly #counters = new Map<string, Counter>()
  readonly #histograms = new Map<string, Histogram>()
  readonly #facts = new Map<string, Facts>()
  readonly #counted = new Set<string>()
  readonly #reconciles: Counter
  readonly #errors: Counter
  readonly #seconds: Histogram
  readonly #halts: Counter
  readonly #replacements: Counter
  readonly #removals: Counter
  readonly #handovers: Histogram

  constructor() {
    const registers = [this.#registry]
    collectDefaultMetrics({ register: this.#registry })
    for (const [name, { type, help, labels }] of Object.entries(KUBE_METRICS)) {
      const common = { name, help, labelNames: [...labels], registers }
      if (type === 'counter') this.#counters.set(name, new Counter(common))
      else this.#histograms.set(name, new Histogram({ ...common, buckets: QUEUE_SECONDS }))
    }
    this.#reconciles = new Counter({
      name: 'controller_runtime_reconcile_total',
      help: 'Looks at an L2Capture, by result.',
      labelNames: ['controller', 'result'],
      registers,
    })
    for (const result of ['success', 'error', 'requeue_after'])
      this.#reconciles.inc({ controller: CONTROLLER, result }, 0)
    this.#errors = new Counter({
      name: 'controller_runtime_reconcile_errors_total',
      help: 'Looks at an L2Capture that failed and are repeated.',
      labelNames: ['controller'],
      registers,
    })
    this.#errors.inc({ controller: CONTROLLER }, 0)
    this.#seconds = new Histogram({
      name: 'controller_runtime_reconcile_time_seconds',
      help: 'Seconds that a look at an L2Capture takes.',
      labelNames: ['controller'],
      buckets: RECONCILE_SECONDS,
      registers,
    })
    this.#halts = new Counter({
      name: 'l2cap_operator_halts_total',
      help: 'Halts of captures that were seen, by exchange and reason.',
      labelNames: ['exchange', 'reason'],
      registers,
    })
    this.#replacements = new Counter({
      name: 'l2cap_operator_pods_created_total',
      help: 'Capture pods created, by cause.',
      labelNames: ['cause'],
      registers,
    })
    this.#removals = new Counter({
      name: 'l2cap_operator_pods_deleted_total',
      help: 'Capture pods deleted, by cause.',
      labelNames: ['cause'],
      registers,
    })
    this.#handovers = new Histogram({
      name: 'l2cap_operator_handover_seconds',
      help: 'Seconds from the creation of a successor to its live book.',
      buckets: HANDOVER_SECONDS,
      registers,
    })
  }

  count(name: string, labels: Readonly<Record<string, string>>, by = 1): void {
    this.#counters.get(name)?.inc({ ...labels }, by)
  }

  observe(name: string, labels: Readonly<Record<string, string>>, seconds: number): void {
    this.#histograms.get(name)?.observe({ ...labels }, seconds)
  }

  reconciled(result: Result, seconds: number): void {
    this.#reconciles.inc({ controller: CONTROLLER, result })
    if (result === 'error') this.#errors.inc({ controller: CONTROLLER })
    this.#seconds.observe({ controller: CONTROLLER }, seconds)
  }

  acted(kind: string, cause: string): void {
    if (kind === 'create') this.#replacements.inc({ cause })
    if (kind === 'delete') this.#removals.inc({ cause })
  }

  /** Keeps what a plan found; each happening in it counts once. */
  take(key: string, facts: Facts | undefined): void {
    if (facts === undefined) {
      this.#facts.delete(key)
      return
    }
    this.#facts.set(key, facts)
    for (const { key: halt, exchange, reason } of facts.halts)
      if (this.#isNew(halt)) this.#halts.inc({ exchange, reason })
    for (const { key: handover, seconds } of facts.handovers)
      if (this.#isNew(handover)) this.#handovers.observe(seconds)
  }

  /** Registers what is read when it is asked for. */
  watch(sources: Sources): void {
    const queue = { name: CONTROLLER }
    this.#gauge('workqueue_depth', 'Keys that wait.', ['name'], (set) => set(queue, sources.queueLength()))
    this.#gauge(
      'workqueue_unfinished_work_seconds',
      'Seconds of work that is not finished.',
      ['name'],
      (set) => set(queue, sources.unfinishedSeconds()),
    )
    this.#gauge(
      'workqueue_longest_running_processor_seconds',
      'Seconds that the longest running look takes so far.',
      ['name'],
      (set) => set(queue, sources.longestRunningSeconds()),
    )
    const controller = { controller: CONTROLLER }
    this.#gauge(
      'controller_runtime_max_concurrent_reconciles',
      'Looks that may run at once.',
      ['controller'],
      (set) => set(controller, sources.workers),
    )
    this.#gauge('controller_runtime_active_workers', 'Looks that run.', ['controller'], (set) =>
      set(controller, sources.activeWorkers()),
    )
    this.#gauge('leader_election_master_status', '1 where this replica leads.', ['name'], (set) =>
      set({ name: sources.leaseName }, sources.isLeader() ? 1 : 0),
    )
    this.#gauge(
      'l2cap_operator_cache_staleness_seconds',
      'Seconds since the API server last spoke on a watch or a list.',
      ['name'],
      (set) => {
        for (const [name, seconds] of Object.entries(sources.stalenessSeconds())) set({ name }, seconds)
      },
    )
    this.#gauge(
      'l2cap_operator_symbols',
      'Symbols by exchange and state, as conditions tell them.',
      ['exchange', 'state'],
      (set) => {
        for (const [[exchange, state], count] of this.#symbols()) set({ exchange, state }, count)
      },
    )
    this.#gauge(
      'l2cap_operator_exchange_suspect',
      '1 while so many captures of an exchange halt alike that nothing is replaced.',
      ['exchange'],
      (set) => {
        for (const [exchange, suspect] of this.#suspects()) set({ exchange }, suspect ? 1 : 0)
      },
    )
    const polls = new Counter({
      name: 'l2cap_operator_status_polls_total',
      help: 'Statuses asked of pods, by result.',
      labelNames: ['result'],
      registers: [this.#registry],
      collect: () => {
        polls.reset()
        const { answered, failed } = sources.polls()
        polls.inc({ result: 'answered' }, answered)
        polls.inc({ result: 'failed' }, failed)
      },
    })
  }

  /** Names of all metrics that are registered so far. */
  get names(): string[] {
    return this.#registry.getMetricsAsArray().map(({ name }) => name)
  }

  async text(): Promise<{ readonly type: string; readonly text: string }> {
    return { type: this.#registry.contentType, text: await this.#registry.metrics() }
  }

  /** By exchange, whether one of its captures finds it suspect. A spec that cannot be read names no exchange. */
  #suspects(): Map<string, boolean> {
    const suspects = new Map<string, boolean>()
    for (const { exchange, suspect } of this.#facts.values())
      if (exchange !== '') suspects.set(exchange, suspects.get(exchange) === true || suspect !== undefined)
    return suspects
  }

  #symbols(): Map<readonly [string, string], number> {
    const sums = new Map<string, number>()
    for (const { exchange, symbols } of this.#facts.values())
      for (const [state, count] of Object.entries<number>(symbols)) {
        const key = `${exchange}\n${state}`
        sums.set(key, (sums.get(key) ?? 0) + count)
      }
    return new Map(
      Array.from(sums, ([key, count]) => {
        const [exchange = '', state = ''] = key.split('\n')
        return [[exchange, state] as const, count]
      }),
    )
  }

  #gauge(
    name: string,
    help: string,
    labelNames: string[],
    read: (set: (labels: Record<string, string>, value: number) => void) => void,
  ): void {
    const gauge = new Gauge({
      name,
      help,
      labelNames,
      registers: [this.#registry],
      collect: () => {
        gauge.reset()
        read((labels, value) => gauge.set(labels, value))
      },
    })
  }

  #isNew(key: string): boolean {
    if (this.#counted.has(key)) return false
    this.#counted.add(key)
    // the oldest is long over
    const [oldest = ''] = this.#counted.size > COUNTED_MAX ? this.#counted : []
    this.#counted.delete(oldest)
    return true
  }
}
