/**
 * The operator without captures: pods are hollow, so that a whole life of a capture takes seconds, and everything that
 * the operator asks of the API server passes a proxy that breaks what can break.
 */
import type { L2CaptureResource } from '../../api/resource.ts'
import { HollowRuntime } from '../cluster/kubelet/mod.ts'
import type { Cluster, ServiceAccountAccess, TestContext } from '../cluster/mod.ts'
import { type FaultProxy, ownProxy } from '../cluster/proxy/mod.ts'
import { waitFor } from '../support/wait.ts'
import type { OperatorProcess } from './operator-process.ts'
import { isLive, nameOf, Scene, type SceneOptions } from './scene.ts'
import type { Administered } from './settings.ts'

/** Nobody dials it: hollow pods have no sockets. Always the same, since it is part of a pod's template. */
const NOWHERE = 'http://127.0.0.1:9'
export const CAPTURE = 'majors'
/** Of one step under a fault, on a busy machine. */
const SETTLES_WITHIN_MS = 180_000

export interface Stage {
  readonly scene: Scene
  readonly proxy: FaultProxy
  readonly runtime: HollowRuntime
  readonly account: ServiceAccountAccess
  /** What the administrator decided. */
  readonly settings: Administered
}

export interface StageOptions extends SceneOptions {
  readonly cluster?: Cluster
}

/** Everything but the operator itself. */
export async function openStage(context: TestContext, options: StageOptions = {}): Promise<Stage> {
  const runtime = new HollowRuntime()
  const settings: Administered = {
    endpoints: NOWHERE,
    ...options.settings,
    times: { handoffSeconds: 0, ...options.settings?.times },
    limits: { haltsInARow: 2, startsPerMinute: 10_000, ...options.settings?.limits },
  }
  const scene = await Scene.open(context, {
    ...options,
    runtime,
    storeless: true,
    withoutOperator: true,
    settings,
  })
  const proxy = await ownProxy(context, { target: scene.cluster })
  const account = await scene.cluster.serviceAccount(scene.namespace, 'l2cap-operator')
  return { scene, proxy, runtime, account, settings }
}

/** An operator whose every request passes the proxy. */
export function startOperator(
  { scene, proxy, account }: Stage,
  args: readonly string[] = [],
): OperatorProcess {
  return scene.startOperator({ kubeconfig: proxy.kubeconfig(account.token), args })
}

/** One thing that a person does, or a pod, and what there is when all is done. */
export interface Step {
  readonly name: string
  /** Symbols with one live pod each; no other pod is there. */
  readonly symbols: readonly string[]
  /** Every pod is another one than before. */
  readonly rolls?: boolean
  act(stage: Stage): Promise<void>
}

export function edit(name: string, symbols: readonly string[], spec: object, rolls = false): Step {
  return { name, symbols, rolls, act: ({ scene }) => scene.patch(CAPTURE, { ...spec }) }
}

export function create(symbols: readonly string[], spec: object = {}): Step {
  const act = ({ scene }: Stage) => scene.apply(CAPTURE, { symbols, ...spec })
  return { name: `apply ${symbols.join(' and ')}`, symbols, act }
}

/** The pod of the symbol halts twice, and never gets live again. */
export function halt(symbol: string, symbols: readonly string[]): Step {
  const act = async ({ scene, runtime }: Stage) => {
    const pod = nameOf(await scene.pod(symbol))
    runtime.break(pod)
    for (let halts = 0; halts < 2; halts++) {
      await waitFor(`a container of ${pod}`, () => runtime.runs(pod), { deadlineMs: SETTLES_WITHIN_MS })
      await runtime.halt(pod, 'CrossedBook', 11)
    }
    await scene.live(symbol, { not: [pod], deadlineMs: SETTLES_WITHIN_MS })
  }
  return { name: `${symbol} halts twice`, symbols, act }
}

/** What a person or a pod does in a capture's life: it starts, loses a symbol and gains one, changes, halts, rests. */
export const LIFE: readonly Step[] = [
  create(['BTCUSDT', 'ETHUSDT']),
  edit('remove ETHUSDT', ['BTCUSDT'], { symbols: ['BTCUSDT'] }),
  edit('add SOLUSDT', ['BTCUSDT', 'SOLUSDT'], { symbols: ['BTCUSDT', 'SOLUSDT'] }),
  edit('another template', ['BTCUSDT', 'SOLUSDT'], { bookLevels: 10 }, true),
  halt('SOLUSDT', ['BTCUSDT', 'SOLUSDT']),
  edit('suspend', [], { suspend: true }),
  edit('resume', ['BTCUSDT', 'SOLUSDT'], { suspend: false }),
]

/** Does the step, and resolves when nothing is left to do. */
export async function play(stage: Stage, step: Step): Promise<void> {
  const before = step.rolls === true ? (await stage.scene.pods()).map(nameOf) : []
  await step.act(stage)
  await settled(stage, step.name, step.symbols, before)
}

/** Resolves when each symbol has one live pod, there is no other, and the status says so of the present spec. */
export async function settled(
  { scene, proxy }: Stage,
  what: string,
  symbols: readonly string[],
  not: readonly string[] = [],
): Promise<L2CaptureResource> {
  let last: unknown
  return await waitFor(
    `everything to be done after: ${what}`,
    async () => {
      const [capture, pods] = [await scene.capture(CAPTURE), await scene.pods()]
      const live = pods.filter((pod) => isLive(pod) && !not.includes(nameOf(pod)))
      const names = live.map((pod) => pod.metadata?.annotations?.['l2cap.dev/symbol']).sort()
      last = { status: capture?.status, pods: pods.map((pod) => ({ name: nameOf(pod), live: isLive(pod) })) }
      const rest = pods.length === live.length && names.join() === symbols.toSorted().join()
      return rest && capture !== undefined && isToldOf(capture, symbols.length) ? capture : undefined
    },
    {
      deadlineMs: SETTLES_WITHIN_MS,
      everyMs: 100,
      show: () => ({
        last,
        writes: proxy.writes.slice(-8).map(({ request, status }) => [request.verb, request.name, status]),
        operator: scene.operator.output.slice(-4000),
      }),
    },
  )
}

/** The status speaks of the present spec, and of the end of all that was to be done. */
function isToldOf({ metadata, status }: L2CaptureResource, symbols: number): boolean {
  const of = (type: string) => status?.conditions?.find((one) => one.type === type)?.status
  const end = symbols === 0 ? of('Suspended') === 'True' : of('Ready') === 'True'
  const counted = status?.symbols?.live === symbols && (status.symbols.halted ?? 0) === 0
  const current = status?.observedGeneration === metadata.generation
  return current && counted && end && of('Reconciling') !== 'True' && of('Halted') !== 'True'
}
