/** What has happened to the pods of a namespace, in the API server's own order. */
import type { V1Pod } from '@kubernetes/client-node'
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
  readonly drain: string
  readonly predecessor: string
  readonly node: string
}

/** Watches from its opening on. Moments are in order of the server's versions: none is missed, none is early. */
export class PodHistory {
  readonly moments: Moment[] = []
  readonly #abort = new AbortController()
  #opened = false
  #failed: unknown

  static async open(context: TestContext, api: ApiClient, namespace: string): Promise<PodHistory> {
    const history = new PodHistory()
    const path = `/api/v1/namespaces/${namespace}/pods?watch=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan`
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

  /** Names of the symbol's pods that were live at the moment when this one was first seen to be deleted. */
  liveWhenDeleted(name: string): string[] {
    return this.#liveWhen(name, 'deleted', ({ deleting, gone }) => deleting || gone)
  }

  /** The same for the moment when it was first seen to be asked to drain. */
  liveWhenDrained(name: string): string[] {
    return this.#liveWhen(name, 'asked to drain', ({ drain }) => drain !== '')
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
    this.moments.push({
      name,
      symbol: annotations['l2cap.dev/symbol'] ?? '',
      live: ready?.status === 'True' && !deleting,
      deleting,
      gone: type === 'DELETED',
      restarts: pod.status?.containerStatuses?.[0]?.restartCount ?? 0,
      drain: annotations['l2cap.dev/drain'] ?? '',
      predecessor: annotations['l2cap.dev/predecessor'] ?? '',
      node: pod.spec?.nodeName ?? '',
    })
  }
}
