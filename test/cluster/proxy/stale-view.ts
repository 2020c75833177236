import type { ApiClient } from '../client.ts'
import { collectionPath, type SeenRequest } from './request.ts'
import { matches, Rule } from './rule.ts'
import type { ProxiedEvent } from './watch-stream.ts'

interface List {
  readonly kind: string
  readonly apiVersion: string
  readonly items: readonly object[]
}

/**
 * An API server that lags behind: reads are answered as of one version, and watches bring nothing that is
 * newer, until the rule is removed; then they catch up. Writes go to the true server, as they do in a cluster.
 * Versions are numbers of one etcd.
 */
export class StaleView extends Rule {
  readonly version: string

  constructor(version: string, ...rest: ConstructorParameters<typeof Rule>) {
    super(...rest)
    this.version = version
  }

  isFor(request: SeenRequest): boolean {
    return this.isOn && matches(this.when, request)
  }

  isNewer(version: string): boolean {
    return BigInt(version) > BigInt(this.version)
  }

  holdsBack(request: SeenRequest, event: ProxiedEvent): Promise<void> | undefined {
    const version = event.object.metadata?.resourceVersion
    if (version === undefined || !this.isFor(request) || !this.isNewer(version)) return undefined
    this.fired += 1
    return this.removed
  }

  /** The URL of a list as of this version; a further page brings its own. */
  listUrl({ path, query }: SeenRequest): string {
    const stale = new URLSearchParams(query)
    if (!stale.has('continue')) {
      stale.set('resourceVersion', this.version)
      stale.set('resourceVersionMatch', 'Exact')
    }
    return `${path}?${stale}`
  }

  /** The object as it was; undefined where there was none. */
  async read(api: ApiClient, request: SeenRequest): Promise<object | undefined> {
    const query = new URLSearchParams({
      fieldSelector: `metadata.name=${request.name}`,
      resourceVersion: this.version,
      resourceVersionMatch: 'Exact',
    })
    const list = await api.get<List>(`${collectionPath(request)}?${query}`)
    const [found] = list.items
    // the items of a list do not say what they are
    const { apiVersion, kind } = list
    return found === undefined ? undefined : { apiVersion, kind: kind.replace(/List$/, ''), ...found }
  }
}
