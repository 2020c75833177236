/** Whole lists, page by page, as of one moment. */
import { ApiError } from './errors.ts'
import { partOf, textOf } from './objects.ts'
import type { KubeClient, Query } from './rest.ts'

export interface Listed<T> {
  readonly items: T[]
  /** The version that a watch goes on from. */
  readonly version: string
}

export interface ListOptions {
  readonly signal?: AbortSignal
  /** In one page, whatever that costs the server. */
  readonly whole?: boolean
}

const PAGE_ITEMS = 500
/** 100,000 objects; a server that sends us in circles ends here. */
const PAGES_MAX = 200
const PAGE_DEADLINE_MS = 60_000

/**
 * Reads a list with a quorum: no resourceVersion is asked for, since `0` would let a server answer with an old view
 * of its own. Pages are of one moment, that of the first. Throws ApiError; `Gone` where the pages took longer than
 * the server keeps history: in one page (`whole`) it cannot.
 */
export async function listAll<T>(
  client: KubeClient,
  path: string,
  query: Query = {},
  { signal, whole = false }: ListOptions = {},
): Promise<Listed<T>> {
  const items: T[] = []
  let token: string | undefined
  for (let pages = 1; pages <= PAGES_MAX; pages++) {
    const page = await client.request<unknown>({
      method: 'GET',
      path,
      query: { ...query, limit: whole ? undefined : PAGE_ITEMS, continue: token },
      deadlineMs: PAGE_DEADLINE_MS,
      ...(signal === undefined ? {} : { signal }),
    })
    const metadata = partOf(page, 'metadata')
    const version = textOf(metadata, 'resourceVersion')
    const more = partOf(page, 'items') ?? []
    if (version === undefined || !Array.isArray(more)) throw notAList(path)
    for (const item of more) items.push(item as T)
    token = textOf(metadata, 'continue')
    if (token === undefined) return { items, version }
  }
  throw new ApiError({
    code: 'Refused',
    message: `GET ${path}: the list does not end after ${PAGES_MAX} pages of ${PAGE_ITEMS}`,
  })
}

function notAList(path: string): ApiError {
  return new ApiError({
    code: 'BadAnswer',
    message: `GET ${path}: the answer is no list: its version or its items are missing`,
  })
}
