/** Who may speak to whom under NetworkPolicies, as their API defines it, for what the chart's policies use of it. */
import { z } from 'zod'
import type { Rendered } from './helm.ts'

const Selector = z.strictObject({ matchLabels: z.record(z.string(), z.string()).default({}) })
const Peer = z.strictObject({ namespaceSelector: Selector.optional(), podSelector: Selector.optional() })
const Port = z.strictObject({
  port: z.union([z.number(), z.string()]),
  protocol: z.enum(['TCP', 'UDP']),
})
const Rule = { ports: z.array(Port).min(1) }
const Spec = z.strictObject({
  podSelector: Selector,
  policyTypes: z.array(z.enum(['Ingress', 'Egress'])),
  ingress: z.array(z.strictObject({ ...Rule, from: z.array(Peer).min(1).optional() })).default([]),
  egress: z.array(z.strictObject({ ...Rule, to: z.array(Peer).min(1).optional() })).default([]),
})
type Direction = z.infer<typeof Spec>['policyTypes'][number]
type Peer = z.infer<typeof Peer>

/** A pod, or where no namespace is given something outside the cluster. */
export interface Party {
  readonly namespace?: string
  readonly labels?: Readonly<Record<string, string>>
  /** Its ports by name. */
  readonly ports?: Readonly<Record<string, number>>
}

/** What all these objects allow: a connection from one to a port of the other. */
export function mayConnect(objects: readonly Rendered[], from: Party, to: Party, port: number): boolean {
  return allows(objects, 'Egress', from, to, to, port) && allows(objects, 'Ingress', to, from, to, port)
}

function allows(
  objects: readonly Rendered[],
  direction: Direction,
  held: Party,
  other: Party,
  to: Party,
  port: number,
): boolean {
  const policies = objects
    .filter(({ kind, metadata }) => kind === 'NetworkPolicy' && metadata.namespace === held.namespace)
    .map((object) => Spec.parse(object['spec']))
    .filter((spec) => spec.policyTypes.includes(direction) && matches(spec.podSelector, held.labels))
  if (policies.length === 0) return true
  const rules = policies.flatMap((spec) =>
    direction === 'Egress'
      ? spec.egress.map(({ ports, to: peers }) => ({ ports, peers }))
      : spec.ingress.map(({ ports, from: peers }) => ({ ports, peers })),
  )
  return rules.some(
    ({ ports, peers }) =>
      ports.some((one) => one.protocol === 'TCP' && (one.port === port || to.ports?.[one.port] === port)) &&
      (peers === undefined || peers.some((peer) => isPeer(peer, held, other))),
  )
}

function isPeer(peer: Peer, held: Party, other: Party): boolean {
  if (other.namespace === undefined) return false
  const named = { 'kubernetes.io/metadata.name': other.namespace }
  const near =
    peer.namespaceSelector === undefined
      ? other.namespace === held.namespace
      : matches(peer.namespaceSelector, named)
  return near && (peer.podSelector === undefined || matches(peer.podSelector, other.labels))
}

function matches({ matchLabels }: z.infer<typeof Selector>, labels: Party['labels'] = {}): boolean {
  return Object.entries(matchLabels).every(([name, value]) => labels[name] === value)
}
