import { createHash } from 'node:crypto'
import type { CaptureSpec } from '../../api/spec.ts'
import type { Settings } from '../settings.ts'

/**
 * What the user and the administrator want of a pod, as a hash: a pod with another hash is out of date and is
 * succeeded. It is taken over what they stated and not over the pod that we make of it, so that a new operator
 * which writes a pod a little differently replaces nothing. Share, predecessor, attempt and the nodes to stay away
 * from are no intent, and not in it.
 */

/** Raised only when pods made by an earlier version of the operator must not go on. */
const TEMPLATE_VERSION = 1
const HASH_LENGTH = 16

/**
 * The hash that pods of this symbol carry. A field that is added to the spec later must be left out here while it
 * has its default, or its arrival would roll every pod of every user.
 */
export function templateHash(spec: CaptureSpec, settings: Settings, symbol: string): string {
  const { pods, times } = settings
  const intent = {
    version: TEMPLATE_VERSION,
    exchange: spec.exchange,
    symbol,
    streams: [...spec.streams].sort(),
    bookLevels: spec.bookLevels,
    rotationSeconds: spec.rotationSeconds,
    guards: spec.guards,
    spool: spec.spool,
    storage: spec.storage,
    resources: spec.resources,
    image: settings.image,
    endpoints: settings.endpoints[spec.exchange],
    pods,
    handoverSeconds: times.handoverSeconds,
    handoffSeconds: times.handoffSeconds,
    terminationGraceSeconds: times.terminationGraceSeconds,
    lostNodeSeconds: times.lostNodeSeconds,
  }
  return createHash('sha256').update(canonicalJson(intent)).digest('hex').slice(0, HASH_LENGTH)
}

/** JSON with sorted keys: equal values give equal text, in whatever order they were written. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    isRecord(part) ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1))) : part,
  )
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
