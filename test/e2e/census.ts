/** What is compared between a life without faults and one with them. */
import type { FaultProxy } from '../cluster/proxy/mod.ts'
import { CAPTURE, type Stage } from './stage.ts'

/**
 * How often each pod was created and deleted by the operator, of what the server took: `create majors-…-1` → 1.
 * `after`: without the first so many writes.
 */
export function podWrites(proxy: FaultProxy, after = 0): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { request, status = 0 } of proxy.writes.slice(after)) {
    const { verb, resource, subresource, body } = request
    if (resource !== 'pods' || subresource !== '' || status < 200 || status > 299) continue
    if (verb !== 'create' && verb !== 'delete') continue
    const name = verb === 'create' ? nameIn(body) : request.name
    counts[`${verb} ${name}`] = (counts[`${verb} ${name}`] ?? 0) + 1
  }
  return Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** The pods and what the status says, apart from times and texts. */
export async function endState({ scene }: Stage): Promise<object> {
  const pods = (await scene.pods()).map(({ metadata }) => [
    metadata?.annotations?.['l2cap.dev/symbol'],
    metadata?.name,
    metadata?.annotations?.['l2cap.dev/template-hash'],
    metadata?.annotations?.['l2cap.dev/share'],
    metadata?.annotations?.['l2cap.dev/drain'],
  ])
  const { status } = (await scene.capture(CAPTURE)) ?? {}
  const conditions = status?.conditions
    // hollow pods do not answer, and their addresses may be another's of this machine
    ?.filter(({ type }) => type !== 'Uploading')
    .map(({ type, status: is, reason }) => `${type}=${is} (${reason})`)
  return {
    pods: pods.sort(),
    symbols: status?.symbols,
    attention: status?.attention ?? [],
    conditions: conditions?.sort(),
  }
}

/** The same by symbol, `create btcusdt` → 3: who saw a pod go late gives the next one a higher number. */
export function bySymbol(writes: Record<string, number>): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const [write, count] of Object.entries(writes)) {
    const [verb, name = ''] = write.split(' ')
    const key = `${verb} ${name.split('-')[1]}`
    counts[key] = (counts[key] ?? 0) + count
  }
  return counts
}

/** A state without the names of pods: who has lived has higher numbers. */
export function shapes(state: object): object {
  const { pods, ...rest } = state as { pods: [string, string, string, string, string][] }
  return { ...rest, pods: pods.map(([symbol, , hash, share, drain]) => [symbol, hash, share, drain]) }
}

function nameIn(body: string): string {
  return (JSON.parse(body) as { metadata?: { name?: string } }).metadata?.name ?? ''
}
