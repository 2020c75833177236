/** What the metrics of a capture are read from, and how one of them is written down. */
import type { ProcessConfig } from '../../api/config.ts'
import type { RequestCounts, ShipCounts, ShipState, SpoolUsage } from '../ship/mod.ts'
import type { Histogram } from './histogram.ts'
import type { RunKeeper } from './keeper.ts'
import type { Metric } from './prom.ts'
import type { Halts } from './report.ts'
import type { DiskRoom } from './room.ts'

/** All that metrics are read from. `usage` is counted anew at each scrape. */
export interface MetricSources {
  readonly config: ProcessConfig
  readonly keeper: RunKeeper
  readonly room: DiskRoom
  readonly usage: SpoolUsage
  readonly ship: ShipState
  readonly shipped: ShipCounts
  /** What was asked of the bucket. */
  readonly asked: RequestCounts
  readonly commitSeconds: Histogram
  readonly halts: Halts
  /** Halts in a row of the processes before this one; 0 once this one has recovered. */
  readonly haltsInARow: number
  /** How long the predecessor was waited for, or is so far; undefined where there is none. */
  readonly handoverSeconds: number | undefined
  readonly nowMs: number
}

type Read = Extract<Metric<MetricSources>, { type: 'counter' | 'gauge' }>['read']
type ReadHistograms = Extract<Metric<MetricSources>, { type: 'histogram' }>['read']

export function counter(
  name: string,
  help: string,
  read: Read,
  labels: readonly string[] = [],
): Metric<MetricSources> {
  return { type: 'counter', name, help, read, labels }
}

export function gauge(
  name: string,
  help: string,
  read: Read,
  labels: readonly string[] = [],
): Metric<MetricSources> {
  return { type: 'gauge', name, help, read, labels }
}

export function histogram(
  name: string,
  help: string,
  read: ReadHistograms,
  labels: readonly string[] = [],
): Metric<MetricSources> {
  return { type: 'histogram', name, help, read, labels }
}
