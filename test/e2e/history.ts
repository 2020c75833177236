/** What has happened to the pods of a namespace, in the API server's own order. */
import type { V1ContainerStateTerminated, V1Pod } from '@kubernetes/client-node'
import type { ApiClient, TestContext } from '../cluster/mod.ts'
import { waitFor } from '../support/wait.ts'

/** A pod as one event of the watch showed it. */
export interface Moment {
  readonly name: string
  readonly symbol: string
  readonly live: boolean
  readonly deleting: boolean
  readonly gone: boolean
  readonly restarts: number
  /** How often its container has ended: one that has not been started again counts. */
  readonly ends: number
  readonly drain: string
  readonly predecessor: string
  readonly node: string
  /** Why its container waits; empty while it does not. */
  readonly waiting: string
  /** How its container ended last; undefined where it never did. */
  readonly end: { readonly exitCode: number; readonly reason: string; readonly message: string } | undefined
  /** Of the server; of all pods, they rise. */
  readonly version: bigint
}

interface PodList {
  readonly metadata: { readonly resourceVersion?: string }
  readonly items: readonly V1Pod[]
}

/** Watches from its opening on. Moments are in order of the server's versions: none is missed, none is early. */
export class PodHistory {
  readonly moments: Moment[] = []
  readonly #abort = new AbortController()
  readonly #api: ApiClient
  readonly #path: string
  #opened = false
  #failed: unknown

  private constructor(api: ApiClient, namespace: string) {
    this.#api = api
    this.#path = `/api/v1/namespaces/${namespace}/pods`
  }

  static async open(context: TestContext, api: ApiClient, namespace: string): Promise<PodHistory> {
    const history = new PodHistory(api, namespace)
    const path = `${history.#path}?watch=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan`
    const watching = api
      .watch<V1Pod>(path, ({ type, object }) => history.#take(type, object), history.#abort.signal)
      .catch((error: unknown) => {
        history.#failed = error
      })
    context.after(async () => {
      history.#abort.abort()
      await watching
    })
    await waitFor('the watch of pods', () => history.#opened, { deadlineMs: 180_000 })
    return history
  }

  /**
   * Resolves when the watch has told all that a list shows now: a test that knows something from a list, or from the
   * operator, finds it here from then on.
   */
  async upToDate(): Promise<void> {
    const list = await this.#api.get<PodList>(this.#path)
    const now = versionOf(list)
    const listed = new Map(list.items.map((pod) => [pod.metadata?.name ?? '', versionOf(pod)]))
    await waitFor('the watch of pods to tell what a list shows', () => {
      for (const [name, version] of listed) if (this.last(name).version < version) return false
      const newest = new Map(this.#all.map((moment) => [moment.name, moment]))
      const left = [...newest.values()].filter(({ name }) => !listed.has(name))
      return left.every(({ gone, version }) => gone || version > now)
    })
  }

  /** Names of the symbol's pods, in order of their creation. */
  pods(symbol: string): string[] {
    return [...new Set(this.#of(symbol).map(({ name }) => name))]
  }

  /** The latest moment of a pod. Throws where it was never seen. */
  last(name: string): Moment {
    const last = this.#all.findLast((moment) => moment.name === name)
    if (last === undefined) throw new Error(`the pod ${name} was never there`)
    return last
  }

  /** How the containers of a pod ended, in order; of ends that follow each other within a moment one may be missing. */
  ends(name: string): NonNullable<Moment['end']>[] {
    const ends = this.#all.flatMap((moment) => (moment.name === name ? (moment.end ?? []) : []))
    return ends.filter((end, i) => end.message !== ends[i - 1]?.message)
  }

  /** Whether the container of a pod was ever seen to wait for this reason. */
  waited(name: string, reason: string): boolean {
    return this.#all.some((moment) => moment.name === name && moment.waiting === reason)
  }

  /** Names of the symbol's pods that were live at the moment when this one was first seen to be deleted. */
  liveWhenDeleted(name: string): string[] {
    return this.#liveWhen(name, 'deleted', ({ deleting, gone }) => deleting || gone)
  }

  /** The same for the moment when it was first seen to be asked to drain. */
  liveWhenDrained(name: string): string[] {
    return this.#liveWhen(name, 'asked to drain', ({ drain }) => drain !== '')
  }

  /** How often the pod's container had been started again when it was first seen to be asked to drain. */
  restartsWhenDrained(name: string): number {
    const at = this.#all.find((moment) => moment.name === name && moment.drain !== '')
    if (at === undefined) throw new Error(`the pod ${name} was never asked to drain`)
    return at.restarts
  }

  /** Whether a pod had a node before the other one was gone. */
  startedBefore(name: string, other: string): boolean {
    const all = this.#all
    const started = all.findIndex((moment) => moment.name === name && moment.node !== '')
    const gone = all.findIndex((moment) => moment.name === other && moment.gone)
    return started >= 0 && (gone < 0 || started < gone)
  }

  #liveWhen(name: string, what: string, is: (moment: Moment) => boolean): string[] {
    const at = this.#all.findIndex((moment) => moment.name === name && is(moment))
    const found = this.#all[at]
    if (found === undefined) throw new Error(`the pod ${name} was never ${what}`)
    return this.#liveAfter(found.symbol, at)
  }

  #liveAfter(symbol: string, at: number): string[] {
    const states = new Map<string, boolean>()
    for (const moment of this.#all.slice(0, at + 1)) {
      if (moment.symbol === symbol) states.set(moment.name, moment.live && !moment.gone)
    }
    return [...states].filter(([, live]) => live).map(([name]) => name)
  }

  #of(symbol: string): Moment[] {
    return this.#all.filter((moment) => moment.symbol === symbol)
  }

  /** A watch that broke has missed things. */
  get #all(): Moment[] {
    if (this.#failed !== undefined) throw new Error(`the watch of pods broke: ${this.#failed}`)
    return this.moments
  }

  #take(type: string, pod: V1Pod): void {
    if (type === 'BOOKMARK') {
      this.#opened = true
      return
    }
    const { name = '', annotations = {}, deletionTimestamp } = pod.metadata ?? {}
    const ready = pod.status?.conditions?.find((condition) => condition.type === 'Ready')
    const deleting = deletionTimestamp !== undefined
    const [container] = pod.status?.containerStatuses ?? []
    const restarts = container?.restartCount ?? 0
    const { terminated, waiting } = container?.state ?? {}
    const hasEnded = terminated !== undefined || waiting?.reason === 'CrashLoopBackOff'
    this.moments.push({
      name,
      symbol: annotations['l2cap.dev/symbol'] ?? '',
      live: ready?.status === 'True' && !deleting,
      deleting,
      gone: type === 'DELETED',
      restarts,
      ends: restarts + (hasEnded ? 1 : 0),
      drain: annotations['l2cap.dev/drain'] ?? '',
      predecessor: annotations['l2cap.dev/predecessor'] ?? '',
      node: pod.spec?.nodeName ?? '',
      waiting: waiting?.reason ?? '',
      end: endOf(terminated ?? container?.lastState?.terminated),
      version: versionOf(pod),
    })
  }
}

function endOf(terminated: V1ContainerStateTerminated | undefined): Moment['end'] {
  if (terminated === undefined) return undefined
  const { exitCode, reason = '', message = '' } = terminated
  return { exitCode, reason, message }
}

function versionOf({ metadata }: { readonly metadata?: { readonly resourceVersion?: string } }): bigint {
  return BigInt(metadata?.resourceVersion ?? 0)
}
