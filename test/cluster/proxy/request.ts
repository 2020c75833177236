/** What a request to an API server is about, read from its path as the server itself reads it. */
import type { IncomingHttpHeaders } from 'node:http'

export type Verb =
  | 'get'
  | 'list'
  | 'watch'
  | 'create'
  | 'update'
  | 'patch'
  | 'delete'
  | 'deletecollection'
  /** No resource: `/version`, `/readyz`, discovery. */
  | 'other'

export interface SeenRequest {
  /** From 1, in order of arrival. */
  readonly number: number
  readonly method: string
  /** With its query. */
  readonly url: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  readonly verb: Verb
  /** `/api/v1`, or `/apis/<group>/<version>`; empty where there is no resource. */
  readonly root: string
  readonly resource: string
  readonly subresource: string
  readonly namespace: string
  readonly name: string
  /** What follows the subresource: a path inside a pod. */
  readonly rest: string
  readonly body: string
}

const OF_METHOD: Readonly<Record<string, Verb>> = {
  GET: 'get',
  HEAD: 'get',
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
}
const WRITES: readonly Verb[] = ['create', 'update', 'patch', 'delete', 'deletecollection']

interface Raw {
  readonly number: number
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export function readRequest(raw: Raw): SeenRequest {
  const { pathname: path, searchParams: query } = new URL(raw.url, 'http://api')
  const parts = path.split('/').slice(1).map(decodeURIComponent)
  const rootParts = parts[0] === 'api' ? 2 : parts[0] === 'apis' ? 3 : parts.length
  const target = readTarget(parts.slice(rootParts))
  const root = target.resource === '' ? '' : `/${parts.slice(0, rootParts).join('/')}`
  return { ...raw, path, query, ...target, root, verb: verbOf(raw.method, query, target) }
}

export function isWrite({ verb }: SeenRequest): boolean {
  return WRITES.includes(verb)
}

/** Where all objects of the request's kind are listed. */
export function collectionPath({ root, resource, namespace }: SeenRequest): string {
  return `${root}${namespace === '' ? '' : `/namespaces/${namespace}`}/${resource}`
}

function readTarget(parts: readonly string[]) {
  // /namespaces/NAME itself, and its status, are about namespaces; whatever is below is not
  const within =
    parts[0] === 'namespaces' && parts.length > 2 && !['status', 'finalize'].includes(parts[2] ?? '')
  const [resource = '', name = '', subresource = '', ...rest] = within ? parts.slice(2) : parts
  return { namespace: within ? (parts[1] ?? '') : '', resource, name, subresource, rest: rest.join('/') }
}

function verbOf(
  method: string,
  query: URLSearchParams,
  { resource, name }: { readonly resource: string; readonly name: string },
): Verb {
  const verb = OF_METHOD[method]
  if (resource === '' || verb === undefined) return 'other'
  if (verb === 'get' && ['1', 'true'].includes(query.get('watch') ?? '')) return 'watch'
  if (verb === 'get' && name === '') return 'list'
  return verb === 'delete' && name === '' ? 'deletecollection' : verb
}
