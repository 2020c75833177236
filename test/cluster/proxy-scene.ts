/** What the proxy's own tests share: a namespace, a proxy before it, and a watch that is written down. */
import type { TestContext } from 'node:test'
import { waitFor } from '../support/wait.ts'
import { ApiClient, openCluster, type WatchEvent } from './mod.ts'
import { type FaultProxy, ownProxy, type ProxyOptions } from './proxy/mod.ts'

export interface Stored {
  readonly metadata: { readonly name: string; readonly resourceVersion: string }
  readonly data?: Record<string, string>
}

export interface Scene {
  readonly proxy: FaultProxy
  readonly namespace: string
  /** Through the proxy, with all rights in the namespace. */
  readonly api: ApiClient
  /** Past the proxy. */
  readonly direct: ApiClient
  /** `…/secrets` of a namespace: a kind that nobody else makes there. */
  readonly secrets: string
  /** Makes one past the proxy. */
  make(name: string, text?: string): Promise<Stored>
}

export async function openScene(context: TestContext, options: Partial<ProxyOptions> = {}): Promise<Scene> {
  const cluster = await openCluster()
  const namespace = await cluster.namespace(context, 'proxy')
  const proxy = await ownProxy(context, { target: cluster, ...options })
  const { server, ca } = proxy
  const { token } = await cluster.serviceAccount(namespace, 'tester')
  await cluster.grant(namespace, 'tester', [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }])
  const api = new ApiClient({ server, ca, token })
  context.after(() => api.close())
  const secrets = `/api/v1/namespaces/${namespace}/secrets`
  const make = (name: string, text = '') =>
    cluster.api.create<Stored>(secrets, { metadata: { name }, data: { text: base64(text) } })
  return { proxy, namespace, api, direct: cluster.api, secrets, make }
}

/** A watch of the objects below a path, and what came of it as `TYPE name`. */
export function follow(context: TestContext, api: ApiClient, path: string) {
  const seen: string[] = []
  const stop = new AbortController()
  context.after(async () => stop.abort())
  const onEvent = ({ type, object }: WatchEvent<Stored & { code?: number; message?: string }>) => {
    seen.push(type === 'ERROR' ? `ERROR ${object.code} ${object.message}` : `${type} ${object.metadata.name}`)
  }
  const url = `${path}${path.includes('?') ? '&' : '?'}watch=1`
  const end = api.watch(url, onEvent, stop.signal)
  // asked about by those tests alone that end it
  end.catch(() => undefined)
  return {
    seen,
    end,
    has: (line: string) =>
      waitFor(`the watch to bring ${line}`, () => seen.includes(line), { show: () => seen }),
    opened: (proxy: FaultProxy) => waitFor('the watch to be open', () => proxy.watches.length > 0),
  }
}

/** Picks the events of one object. */
export function isNamed(name: string) {
  return ({ object }: { object: { metadata?: { name?: string } } }) => object.metadata?.name === name
}

export function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}

/** Sorted. */
export function names(items: readonly Stored[]): string[] {
  return items.map(({ metadata }) => metadata.name).sort()
}
