/** Pod status in the words of the kubelet. Pure. */
import type { V1ContainerState, V1ContainerStatus, V1Pod, V1PodCondition } from '@kubernetes/client-node'
import type { Ended } from './container.ts'

/** Times are strings here: this is what goes over the wire. */
type Wire<T> = {
  [K in keyof T]?: Date extends T[K] ? string : T[K] extends object | undefined ? unknown : T[K]
}

export interface ContainerView {
  readonly state:
    | { readonly kind: 'waiting'; readonly reason: string; readonly message?: string }
    | { readonly kind: 'running'; readonly startedAt: string }
    | ({ readonly kind: 'terminated'; readonly message: string } & Ended)
  readonly last: (Ended & { readonly message: string }) | undefined
  readonly restarts: number
  readonly ready: boolean
}

export interface PodView {
  readonly phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed'
  readonly reason?: string
  readonly message?: string
  readonly ip: string
  readonly hostIp: string
  readonly startTime: string
  readonly container: ContainerView
}

export function statusOfPod(
  pod: V1Pod,
  view: PodView,
  before: readonly V1PodCondition[],
  now: string,
): object {
  const { container } = view
  const ready = container.ready && view.phase === 'Running'
  const over = view.phase === 'Succeeded' || view.phase === 'Failed'
  const notReady = over ? 'PodCompleted' : 'ContainersNotReady'
  const started = container.state.kind !== 'waiting' || container.restarts > 0
  const conditions = [
    condition('PodReadyToStartContainers', started, ''),
    condition('Initialized', true, over ? 'PodCompleted' : ''),
    condition('Ready', ready, ready ? '' : notReady),
    condition('ContainersReady', ready, ready ? '' : notReady),
    condition('PodScheduled', true, ''),
  ].map((fresh) => withTransition(fresh, before, now))
  return {
    phase: view.phase,
    ...(view.reason === undefined ? {} : { reason: view.reason }),
    ...(view.message === undefined ? {} : { message: view.message }),
    hostIP: view.hostIp,
    hostIPs: [{ ip: view.hostIp }],
    ...(view.ip === '' ? {} : { podIP: view.ip, podIPs: [{ ip: view.ip }] }),
    startTime: view.startTime,
    conditions,
    containerStatuses: [containerStatus(pod, container)],
  }
}

function condition(type: string, holds: boolean, reason: string): Wire<V1PodCondition> {
  return { type, status: holds ? 'True' : 'False', ...(reason === '' ? {} : { reason }) }
}

function withTransition(
  fresh: Wire<V1PodCondition>,
  before: readonly V1PodCondition[],
  now: string,
): Wire<V1PodCondition> {
  const old = before.find(({ type }) => type === fresh.type)
  const moved = old === undefined || old.status !== fresh.status
  return { ...fresh, lastTransitionTime: moved ? now : String(old.lastTransitionTime ?? now) }
}

function containerStatus(pod: V1Pod, view: ContainerView): Wire<V1ContainerStatus> {
  const [container] = pod.spec?.containers ?? []
  return {
    name: container?.name ?? '',
    image: container?.image ?? '',
    imageID: container?.image ?? '',
    ready: view.ready,
    started: view.state.kind === 'running',
    restartCount: view.restarts,
    state: stateOf(view.state),
    lastState: view.last === undefined ? {} : { terminated: terminated(view.last) },
  }
}

function stateOf(state: ContainerView['state']): Wire<V1ContainerState> {
  if (state.kind === 'running') return { running: { startedAt: state.startedAt } }
  if (state.kind === 'terminated') return { terminated: terminated(state) }
  const { reason, message } = state
  return { waiting: { reason, ...(message === undefined ? {} : { message }) } }
}

function terminated({ exitCode, reason, startedAt, finishedAt, message }: Ended & { message: string }) {
  return { exitCode, reason, startedAt, finishedAt, message, containerID: 'process://ended' }
}
