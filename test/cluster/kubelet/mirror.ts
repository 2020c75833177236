import type { KubernetesObject } from '@kubernetes/client-node'
import { type KubeletApi, statusOf, type WatchEvent } from './api.ts'

/** How long to wait before the next list where a list or a watch failed. */
const RETRY_MS = 200

interface List<T> {
  readonly metadata: { readonly resourceVersion: string }
  readonly items: T[]
}

/**
 * All objects of a path as the API server has them: list, then watch, again for ever. It is the tests' own, and
 * plain: what is judged by it must not share its mistakes with the operator's reflector.
 */
export class Mirror<T extends KubernetesObject> {
  readonly objects = new Map<string, T>()
  readonly #api: KubeletApi
  readonly #path: string
  readonly #onChange: (object: T, gone: boolean) => void
  readonly #stop = new AbortController()
  #ended: Promise<void> = Promise.resolve()

  constructor(api: KubeletApi, path: string, onChange: (object: T, gone: boolean) => void = () => undefined) {
    this.#api = api
    this.#path = path
    this.#onChange = onChange
  }

  /** Resolves after the first list. */
  async start(): Promise<void> {
    const first = Promise.withResolvers<void>()
    this.#ended = this.#follow(first.resolve)
    await first.promise
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#ended
  }

  async #follow(listed: () => void): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        const list = await this.#api.get<List<T>>(this.#path)
        this.#replace(list.items)
        listed()
        let version = list.metadata.resourceVersion
        // the server ends a watch now and then; from 410 on only a list helps
        while (!signal.aborted) version = await this.#watch(version)
      } catch (error) {
        // refused, or the server is away: tests do that on purpose
        if (statusOf(error) === 403) throw error
        await new Promise((wake) => setTimeout(wake, RETRY_MS))
      }
    }
  }

  async #watch(from: string): Promise<string> {
    let version = from
    const onEvent = ({ type, object }: WatchEvent) => {
      if (type === 'ERROR') throw new Error(`the watch of ${this.#path} ended: ${JSON.stringify(object)}`)
      const seen = object as T
      version = seen.metadata?.resourceVersion ?? version
      if (type === 'BOOKMARK') return
      this.#take(seen, type === 'DELETED')
    }
    const query = `watch=1&allowWatchBookmarks=true&resourceVersion=${from}`
    await this.#api.watch(
      `${this.#path}${this.#path.includes('?') ? '&' : '?'}${query}`,
      onEvent,
      this.#stop.signal,
    )
    return version
  }

  #replace(items: readonly T[]): void {
    const uids = new Set(items.map(uidOf))
    for (const [uid, object] of this.objects) if (!uids.has(uid)) this.#take(object, true)
    for (const object of items) this.#take(object, false)
  }

  #take(object: T, gone: boolean): void {
    if (gone) this.objects.delete(uidOf(object))
    else this.objects.set(uidOf(object), object)
    this.#onChange(object, gone)
  }
}

function uidOf(object: KubernetesObject): string {
  return object.metadata?.uid ?? ''
}
