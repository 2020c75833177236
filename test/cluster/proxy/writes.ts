import { isWrite, type SeenRequest } from './request.ts'

/** A write, numbered from 1 in order of arrival. */
export interface Write {
  readonly number: number
  readonly request: SeenRequest
  /** Of the server's answer; undefined before it, and where there was none. */
  status: number | undefined
}

/**
 * Awaited; with `cut` the connection breaks: `before` the server has seen anything, or `after` it has done it.
 */
export interface WriteHooks {
  before?: ((write: Write) => Promise<'cut' | undefined> | 'cut' | undefined) | undefined
  after?: ((write: Write) => Promise<'cut' | undefined> | 'cut' | undefined) | undefined
}

/** Questions, signs of life and events change nothing that a reconcile looks at. */
const NOT_NUMBERED = /^(leases|events|.*reviews)$/

export function isNumbered(request: SeenRequest): boolean {
  const { resource, subresource, query } = request
  return isWrite(request) && !NOT_NUMBERED.test(resource) && subresource !== 'token' && !query.has('dryRun')
}
