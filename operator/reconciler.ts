import type { V1Pod } from '@kubernetes/client-node'
import type { Logger } from 'pino'
import { API_VERSION, KIND } from '../api/labels.ts'
import type { L2CaptureResource } from '../api/resource.ts'
import { apply, forgetStart, Pass } from './apply.ts'
import type { Cluster } from './cluster.ts'
import { ApiError, type ApiErrorCode, type EventRecorder } from './kube/mod.ts'
import {
  type Action,
  type EventIntent,
  type Facts,
  type Memory,
  type Plan,
  type Polled,
  plan,
} from './plan/mod.ts'
import type { Settings } from './settings.ts'

/** After a pod whose name is taken, or a status that somebody else changed, the cache needs a moment. */
const CACHE_CATCHES_UP_MS = 500
/** The API server takes no longer note. */
const NOTE_LENGTH_MAX = 1024

/**
 * A look acts for so long, then tells what is so and is followed by another: five hundred pods and a slow API server
 * are no reason for a status that stands still. The last action may take longer by its requests' deadlines.
 */
export const ACTING_MS_MAX = 30_000

/** The caches of the operator, by `namespace/name`. */
export interface View {
  capture(namespace: string, name: string): L2CaptureResource | undefined
  captures(): readonly L2CaptureResource[]
  pods(): readonly V1Pod[]
  statuses: ReadonlyMap<string, Polled>
}

export interface ReconcilerOptions {
  readonly view: View
  readonly cluster: Cluster
  readonly memory: Memory
  readonly settings: Settings
  readonly events: Pick<EventRecorder, 'record'>
  readonly log: Logger
  readonly now: () => number
  /** What a plan found, for metrics; undefined when the capture is gone. */
  readonly onFacts: (key: string, facts: Facts | undefined) => void
  /** An action was carried out, for metrics. */
  readonly onAction: (kind: string, cause: string) => void
}

interface Acted {
  readonly again: number | undefined
  /** The first failure. */
  readonly failed: unknown
}

/** One look at one L2Capture: observe, plan, act, and say so in its status. */
export class Reconciler {
  readonly #options: ReconcilerOptions
  /** Statuses that we wrote and the cache does not show yet, by the capture's UID. */
  readonly #written = new Map<string, L2CaptureResource>()

  constructor(options: ReconcilerOptions) {
    this.#options = options
  }

  /**
   * Resolves with the milliseconds until the next look, or undefined where only a change needs one. Rejects where the
   * API server refused or did not answer: then all of it is done again.
   */
  async reconcile(key: string): Promise<number | undefined> {
    const [namespace = '', name = ''] = key.split('/')
    const { view, memory, now, onFacts } = this.#options
    const cached = view.capture(namespace, name)
    if (cached === undefined || cached.metadata.deletionTimestamp !== undefined) {
      // what it owned is collected, and its pods drain by themselves
      onFacts(key, undefined)
      if (cached === undefined) this.#forget(key)
      return undefined
    }
    const capture = this.#freshest(cached)
    const pods = view.pods()
    memory.observe(pods, now())
    const captures = view.captures().filter(({ metadata }) => metadata.uid !== capture.metadata.uid)
    const planned = plan(
      { capture, captures, pods, statuses: view.statuses, memory: memory.view },
      this.#options.settings,
      now(),
    )
    // at once, before anything is awaited: what others plan meanwhile counts these starts
    for (const action of planned.actions) if (action.kind === 'create') memory.starting(action, now())
    onFacts(key, planned.facts)
    const acted = await this.#act(planned, capture)
    // also where an action failed: what is so must be told
    await this.#tell(planned, capture)
    if (acted.failed !== undefined) throw acted.failed
    return soonest(acted.again, planned.requeueAfterMs)
  }

  /** Carries out the actions in order. One that is skipped asks for another look, one that fails as well. */
  async #act(planned: Plan, capture: L2CaptureResource): Promise<Acted> {
    const { namespace = '', name = '' } = capture.metadata
    const pass = new Pass({ namespace, name }, this.#options.cluster)
    const startedMs = this.#options.now()
    let again: number | undefined
    let failed: unknown
    for (const [index, action] of planned.actions.entries()) {
      if (this.#options.now() - startedMs >= ACTING_MS_MAX) {
        this.#leave(planned.actions.slice(index))
        again = 0
        break
      }
      try {
        if (!(await this.#actOnce(action, pass, capture))) again = CACHE_CATCHES_UP_MS
      } catch (error) {
        failed ??= error
        // what is refused, for a quota or a policy, says nothing of the others
        if (isRefusal(error)) {
          if (action.kind === 'create')
            this.#options.memory.refusedFor(action.pod, error.message, this.#options.now())
          this.#tellRefused(action, error, capture)
        } else {
          this.#leave(planned.actions.slice(index + 1))
          break
        }
      }
    }
    return { again, failed }
  }

  /** Starts that are not made in this look must not hold up others. */
  #leave(actions: readonly Action[]): void {
    for (const action of actions)
      if (action.kind === 'create') forgetStart(action.pod.metadata, this.#options.memory)
  }

  #tellRefused(action: Action, error: ApiError, capture: L2CaptureResource): void {
    const { kind, symbol } = action
    const pod = kind === 'create' ? (action.pod.metadata?.name ?? '') : action.pod.name
    const note = `to ${kind} ${pod} for ${symbol} was refused: ${error.message}`
    this.#record(
      {
        type: 'Warning',
        reason: 'PodRefused',
        action: `${kind.charAt(0).toUpperCase()}${kind.slice(1)}`,
        note: note.slice(0, NOTE_LENGTH_MAX),
        ...(kind === 'create' ? {} : { pod: action.pod }),
        key: `refused ${kind} ${pod}`,
      },
      capture,
    )
  }

  /** False where it was skipped, since what it rests on is so no more. */
  async #actOnce(action: Action, pass: Pass, capture: L2CaptureResource): Promise<boolean> {
    const { cluster, memory, now, log, onAction } = this.#options
    const { namespace = '', name = '' } = capture.metadata
    const pod = action.kind === 'create' ? (action.pod.metadata?.name ?? '') : action.pod.name
    const cause = 'cause' in action ? { cause: action.cause } : {}
    const fields = { namespace, name, symbol: action.symbol, pod, action: action.kind, ...cause }
    const outcome = await apply(action, pass, cluster, memory, now)
    if (outcome.kind === 'skipped') {
      log.info({ ...fields, skipped: outcome.why }, `not done: ${action.why}`)
      return false
    }
    log.info(fields, action.why)
    onAction(action.kind, 'cause' in action ? action.cause : '')
    if (action.event !== undefined) this.#record(action.event, capture)
    return true
  }

  /** Writes the status where it differs, and then what is to be told. */
  async #tell(planned: Plan, capture: L2CaptureResource): Promise<void> {
    const { cluster } = this.#options
    if (planned.statusChanged) {
      const written = await cluster.writeStatus({ ...capture, status: planned.status })
      this.#written.set(written.metadata.uid ?? '', written)
    }
    for (const intent of planned.events) this.#record(intent, capture)
  }

  #record(intent: EventIntent, capture: L2CaptureResource): void {
    const { namespace = '', name = '', uid = '' } = capture.metadata
    const { pod } = intent
    const taken = this.#options.events.record({
      regarding: { apiVersion: API_VERSION, kind: KIND, namespace, name, uid },
      ...(pod === undefined ? {} : { related: { apiVersion: 'v1', kind: 'Pod', ...pod } }),
      type: intent.type,
      reason: intent.reason,
      action: intent.action,
      note: intent.note,
    })
    // one too many of its reason is told by a later look; none follows for that alone
    if (taken) this.#options.memory.told(intent.key)
  }

  /** The capture with the status that we wrote last, as long as the cache is behind it. */
  #freshest(cached: L2CaptureResource): L2CaptureResource {
    const uid = cached.metadata.uid ?? ''
    const written = this.#written.get(uid)
    if (written === undefined) return cached
    if (versionOf(written) > versionOf(cached)) return { ...cached, ...statusOf(written) }
    this.#written.delete(uid)
    return cached
  }

  #forget(key: string): void {
    for (const [uid, { metadata }] of this.#written)
      if (`${metadata.namespace}/${metadata.name}` === key) this.#written.delete(uid)
  }
}

/** Our own write: its status, and the version that the next write must name. The spec may be newer in the cache. */
function statusOf(written: L2CaptureResource): Partial<L2CaptureResource> {
  return { metadata: written.metadata, spec: written.spec, status: written.status }
}

/** Versions of one object are whole numbers that rise (Kubernetes 1.35, KEP-5504). */
function versionOf({ metadata }: L2CaptureResource): bigint {
  const text = metadata.resourceVersion ?? ''
  return /^\d+$/.test(text) ? BigInt(text) : 0n
}

function soonest(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined) return b
  return b === undefined ? a : Math.min(a, b)
}

/** The API server has judged this one, and does not want it: a policy may answer with nearly any 4xx. */
const REFUSALS: ReadonlySet<ApiErrorCode> = new Set(['Forbidden', 'Invalid', 'Refused', 'NotFound', 'Gone'])

function isRefusal(error: unknown): error is ApiError {
  return error instanceof ApiError && REFUSALS.has(error.code)
}

/** How a failed look is told: what people must mend in words, the rest as it is. */
export function failureText(error: unknown): string {
  if (error instanceof ApiError) return `${error.code}: ${error.message}`
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
