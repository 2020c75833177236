/** The API server's own record of what was asked of it. */
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'

export interface AuditEvent {
  readonly auditID: string
  readonly stage: string
  readonly verb: string
  readonly requestURI: string
  readonly user: { readonly username: string }
  readonly userAgent?: string
  readonly objectRef?: {
    readonly apiGroup?: string
    readonly resource?: string
    readonly subresource?: string
    readonly namespace?: string
    readonly name?: string
  }
  readonly responseStatus?: { readonly code?: number }
  /** `authorization.k8s.io/decision`: allow or forbid; `…/reason`: by which binding. */
  readonly annotations?: Readonly<Record<string, string>>
}

export interface AuditFilter {
  readonly user?: string
  readonly verb?: string
  /** `pods`, or `pods/status`. */
  readonly resource?: string
  readonly namespace?: string
}

/** The requests that match, each once, in order of their first line: a watch is there from its start on. */
export async function readAudit(path: string, filter: AuditFilter): Promise<AuditEvent[]> {
  const found = new Map<string, AuditEvent>()
  for await (const line of createInterface({ input: createReadStream(path, 'utf8') })) {
    let event: AuditEvent
    try {
      event = JSON.parse(line)
    } catch {
      continue // the last line, half written
    }
    if (matches(event, filter)) found.set(event.auditID, event)
  }
  return [...found.values()]
}

function matches({ user, verb, objectRef = {} }: AuditEvent, filter: AuditFilter): boolean {
  const { resource = '', subresource, namespace } = objectRef
  const full = subresource === undefined ? resource : `${resource}/${subresource}`
  return (
    (filter.user === undefined || user.username === filter.user) &&
    (filter.verb === undefined || verb === filter.verb) &&
    (filter.resource === undefined || full === filter.resource) &&
    (filter.namespace === undefined || namespace === filter.namespace)
  )
}
