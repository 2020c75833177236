/** What of our own counting objects Prometheus reads, at each scrape: nothing is handed to prom-client before. */
import { Counter, Gauge, Histogram as PromHistogram, type Registry } from 'prom-client'
import type { Histogram } from './histogram.ts'

export type MetricType = 'counter' | 'gauge' | 'histogram'

/** A figure with its labels. */
export interface Sample<V> {
  readonly labels: Readonly<Record<string, string>>
  readonly value: V
}

interface Named {
  readonly name: string
  readonly help: string
  readonly labels: readonly string[]
}

/** A metric and where its figures come from. */
export type Metric<S> = Named &
  (
    | { readonly type: 'counter' | 'gauge'; readonly read: (source: S) => readonly Sample<number>[] }
    | { readonly type: 'histogram'; readonly read: (source: S) => readonly Sample<Histogram>[] }
  )

/** One figure without labels. */
export function one<V>(value: V): readonly Sample<V>[] {
  return [{ labels: {}, value }]
}

/** One figure for each value of a label. */
export function by<V>(label: string, values: Iterable<readonly [string, V]>): readonly Sample<V>[] {
  return Array.from(values, ([key, value]) => ({ labels: { [label]: key }, value }))
}

/** Registers a metric that reads its figures from `source` when it is scraped. */
export function register<S>(registry: Registry, metric: Metric<S>, source: () => S): void {
  const { name, help } = metric
  const labelNames = [...metric.labels]
  const registers = [registry]
  if (metric.type === 'histogram') {
    const { read } = metric
    new ReadHistogram({ name, help, labelNames, registers, buckets: [] }, () => read(source()))
    return
  }
  const { read } = metric
  if (metric.type === 'gauge') {
    const gauge = new Gauge({
      name,
      help,
      labelNames,
      registers,
      collect: () => {
        gauge.reset()
        for (const { labels, value } of read(source())) gauge.set(labels, value)
      },
    })
    return
  }
  const counter = new Counter({
    name,
    help,
    labelNames,
    registers,
    collect: () => {
      // its figures are whole each time; those of our objects never fall
      counter.reset()
      for (const { labels, value } of read(source())) counter.inc(labels, value)
    },
  })
}

interface PromSample {
  readonly metricName: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** A histogram whose buckets are counted by an object of ours. */
class ReadHistogram extends PromHistogram {
  readonly #name: string
  readonly #help: string
  readonly #read: () => readonly Sample<Histogram>[]

  constructor(
    configuration: ConstructorParameters<typeof PromHistogram>[0],
    read: () => readonly Sample<Histogram>[],
  ) {
    super(configuration)
    this.#name = configuration.name
    this.#help = configuration.help
    this.#read = read
  }

  /** What the registry reads of a histogram; the library's types do not tell of it. */
  async getForPromString(): Promise<{
    readonly name: string
    readonly help: string
    readonly type: 'histogram'
    readonly aggregator: 'sum'
    readonly values: readonly PromSample[]
  }> {
    const values = this.#read().flatMap(({ labels, value }) => this.#samples(labels, value))
    return { name: this.#name, help: this.#help, type: 'histogram', aggregator: 'sum', values }
  }

  /** Buckets count all that is at or below their bound. */
  #samples(labels: Readonly<Record<string, string>>, histogram: Histogram): PromSample[] {
    const bucket = (le: string, value: number) => ({
      metricName: `${this.#name}_bucket`,
      labels: { ...labels, le },
      value,
    })
    let below = 0
    const buckets = histogram.bounds.map((bound, i) => {
      below += histogram.counts[i]
      return bucket(String(bound), below)
    })
    return [
      ...buckets,
      bucket('+Inf', histogram.count),
      { metricName: `${this.#name}_sum`, labels, value: histogram.sum },
      { metricName: `${this.#name}_count`, labels, value: histogram.count },
    ]
  }
}
