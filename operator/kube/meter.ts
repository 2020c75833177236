/**
 * What this folder counts, under the names of client-go and controller-runtime where they have one, so that stock
 * dashboards work. The operator's metrics page registers METRICS and hands in a `Meter`.
 */

interface Metric {
  readonly type: 'counter' | 'histogram'
  readonly help: string
  readonly labels: readonly string[]
}

export const METRICS = {
  rest_client_requests_total: {
    type: 'counter',
    help: 'Requests to the API server, by status code (<error> where there was no answer), method and host.',
    labels: ['code', 'method', 'host'],
  },
  workqueue_adds_total: { type: 'counter', help: 'Keys added to the work queue.', labels: ['name'] },
  workqueue_retries_total: {
    type: 'counter',
    help: 'Keys added again after a failure.',
    labels: ['name'],
  },
  workqueue_queue_duration_seconds: {
    type: 'histogram',
    help: 'Seconds that a key waits before it is processed.',
    labels: ['name'],
  },
  workqueue_work_duration_seconds: {
    type: 'histogram',
    help: 'Seconds that processing a key takes.',
    labels: ['name'],
  },
  l2cap_operator_list_total: {
    type: 'counter',
    help: 'Whole lists read by a reflector, by result.',
    labels: ['name', 'result'],
  },
  l2cap_operator_watch_total: {
    type: 'counter',
    help: 'Watches that ended, by how.',
    labels: ['name', 'result'],
  },
  l2cap_operator_watch_events_total: {
    type: 'counter',
    help: 'Watch events by what became of them: applied, or ignored as older than what is known.',
    labels: ['name', 'result'],
  },
  l2cap_operator_missed_by_watch_total: {
    type: 'counter',
    help: 'Changes that a list found and no watch had told of: some may be a moment old, many mean lossy watches.',
    labels: ['name'],
  },
  l2cap_operator_handler_errors_total: {
    type: 'counter',
    help: 'Errors thrown by the handlers of a reflector: a bug.',
    labels: ['name'],
  },
  l2cap_operator_credentials_reads_total: {
    type: 'counter',
    help: 'Times that credentials were read anew, by result.',
    labels: ['result'],
  },
  l2cap_operator_lease_attempts_total: {
    type: 'counter',
    help: 'Attempts to take or renew the lease, by result.',
    labels: ['result'],
  },
  l2cap_operator_events_total: {
    type: 'counter',
    help: 'Kubernetes events by what became of them.',
    labels: ['result'],
  },
} as const satisfies Record<string, Metric>

export type MetricName = keyof typeof METRICS
export type CounterName = {
  [N in MetricName]: (typeof METRICS)[N]['type'] extends 'counter' ? N : never
}[MetricName]
export type HistogramName = Exclude<MetricName, CounterName>

export type Labels = Readonly<Record<string, string>>

/** Who keeps the figures. Must not throw. */
export interface Meter {
  count(name: CounterName, labels: Labels, by?: number): void
  observe(name: HistogramName, labels: Labels, seconds: number): void
}

/** For parts that nobody watches. */
export const noMeter: Meter = { count: () => {}, observe: () => {} }

/** Tells a person what happened; `fields` are for machines. Must not throw. */
export type Log = (level: 'info' | 'warn' | 'error', message: string, fields?: Labels) => void

export const noLog: Log = () => {}
