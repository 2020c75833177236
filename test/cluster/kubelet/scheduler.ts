import type { V1Node, V1Pod } from '@kubernetes/client-node'

const HOSTNAME = 'kubernetes.io/hostname'

/** Where a pod goes: pure. Undefined where no node takes it. */
export function chooseNode(pod: V1Pod, nodes: readonly V1Node[], pods: Iterable<V1Pod>): string | undefined {
  const counts = new Map<string, number>()
  for (const other of pods) {
    const name = other.spec?.nodeName
    if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  const fit = nodes.filter((node) => takes(node) && matchesSelector(node, pod))
  const scored = fit.map((node) => {
    const name = node.metadata?.name ?? ''
    return { name, score: preference(node, pod), count: counts.get(name) ?? 0 }
  })
  scored.sort((a, b) => b.score - a.score || a.count - b.count || (a.name < b.name ? -1 : 1))
  return scored[0]?.name
}

function takes(node: V1Node): boolean {
  const ready = node.status?.conditions?.find(({ type }) => type === 'Ready')
  const repels = node.spec?.taints?.some(({ effect }) => effect === 'NoSchedule' || effect === 'NoExecute')
  return ready?.status === 'True' && node.spec?.unschedulable !== true && repels !== true
}

function matchesSelector(node: V1Node, pod: V1Pod): boolean {
  const labels = node.metadata?.labels ?? {}
  const required = pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
  const terms = required?.nodeSelectorTerms ?? []
  const bySelector = Object.entries(pod.spec?.nodeSelector ?? {}).every(
    ([key, value]) => labels[key] === value,
  )
  return (
    bySelector && (terms.length === 0 || terms.some((term) => matches(labels, term.matchExpressions ?? [])))
  )
}

function preference(node: V1Node, pod: V1Pod): number {
  const labels = { [HOSTNAME]: node.metadata?.name ?? '', ...node.metadata?.labels }
  const preferred = pod.spec?.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []
  return preferred.reduce(
    (sum, { preference, weight }) => sum + (matches(labels, preference.matchExpressions ?? []) ? weight : 0),
    0,
  )
}

interface Expression {
  readonly key: string
  readonly operator: string
  readonly values?: readonly string[]
}

function matches(labels: Readonly<Record<string, string>>, expressions: readonly Expression[]): boolean {
  return expressions.every(({ key, operator, values = [] }) => {
    const value = labels[key]
    if (operator === 'In') return value !== undefined && values.includes(value)
    if (operator === 'NotIn') return value === undefined || !values.includes(value)
    if (operator === 'Exists') return value !== undefined
    if (operator === 'DoesNotExist') return value === undefined
    throw new Error(`this scheduler does not know the operator ${operator}`)
  })
}
