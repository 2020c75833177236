import { mkdir } from 'node:fs/promises'
import type { V1Node, V1Pod } from '@kubernetes/client-node'
import { type KubeletApi, STRATEGIC_MERGE, statusOf } from './api.ts'
import type { Runtime } from './container.ts'
import { Mirror } from './mirror.ts'
import { StandInNode } from './node.ts'
import { PodWorker } from './pod-worker.ts'
import { chooseNode } from './scheduler.ts'
import { type KubeletTimes, TIMES } from './times.ts'

const SCHEDULE_EVERY_MS = 200

export interface StandInOptions {
  readonly api: KubeletApi
  readonly runtime: Runtime
  /** Where pods' volumes lie. */
  readonly root: string
  readonly nodes: readonly string[]
  /** Its pods alone are run; all of the cluster without it. */
  readonly namespace?: string
  readonly times?: Partial<KubeletTimes>
}

/**
 * The kubelets of some nodes, and the scheduler: whatever pods the API server has are run as processes of this
 * machine, and their truth is written as the kubelet writes it.
 */
export class StandInKubelet {
  times: KubeletTimes
  readonly nodes: ReadonlyMap<string, StandInNode>
  readonly #options: StandInOptions
  readonly #workers = new Map<string, { readonly worker: PodWorker; readonly node: StandInNode }>()
  readonly #running = new Set<Promise<void>>()
  readonly #pods: Mirror<V1Pod>
  readonly #nodeObjects: Mirror<V1Node>
  readonly #timers: NodeJS.Timeout[] = []
  /** Pods that a dead node has had; it knows nothing of them when it is back. */
  readonly #forgotten = new Set<string>()
  #stopping = false

  constructor(options: StandInOptions) {
    this.#options = options
    this.times = { ...TIMES, ...options.times }
    this.nodes = new Map(options.nodes.map((name) => [name, new StandInNode(options.api, name)]))
    const within = options.namespace === undefined ? '' : `/namespaces/${options.namespace}`
    this.#pods = new Mirror<V1Pod>(options.api, `/api/v1${within}/pods`, (pod, gone) => this.#seen(pod, gone))
    this.#nodeObjects = new Mirror<V1Node>(options.api, '/api/v1/nodes')
  }

  async start(): Promise<void> {
    await mkdir(this.#options.root, { recursive: true })
    for (const node of this.nodes.values()) await node.register()
    await this.#nodeObjects.start()
    await this.#pods.start()
    this.#every(this.times.heartbeatMs, () => this.#beat())
    this.#every(SCHEDULE_EVERY_MS, () => this.#schedule())
  }

  /** Kills what runs, and takes the nodes away. */
  async stop(): Promise<void> {
    this.#stopping = true
    for (const timer of this.#timers) clearInterval(timer)
    await Promise.all([this.#pods.stop(), this.#nodeObjects.stop()])
    for (const { worker } of this.#workers.values()) worker.removed()
    await Promise.all(this.#running)
    for (const node of this.nodes.values()) await node.remove().catch(() => undefined)
  }

  /** Names of the pods that have a worker. */
  get podNames(): string[] {
    return [...this.#workers.values()].map(({ worker }) => worker.name)
  }

  /** What the pod's containers printed, all of them one after another. */
  output(name: string): string {
    const found = this.#find(name)
    return found === undefined ? '' : this.#options.runtime.output(found.worker.uid)
  }

  /** Where the volume of a running pod lies. Throws where there is no such pod. */
  volume(name: string, volume: string): string {
    return this.#worker(name).place.volume(volume)
  }

  /** The pod's process. Throws where none runs. */
  pid(name: string): number {
    const { pid } = this.#worker(name)
    if (pid === undefined) throw new Error(`the pod ${name} runs no process`)
    return pid
  }

  /** Sends a signal to the pod's process, as a fault. */
  kill(name: string, signal: NodeJS.Signals = 'SIGKILL'): void {
    this.#worker(name).signal(signal)
  }

  /**
   * After an end with this exit code the pod's container stays down until `release`, as in a long back-off: what is
   * told of its end can be seen, however late somebody looks.
   */
  hold(name: string, exitCode: number): void {
    this.#worker(name).hold(exitCode)
  }

  release(name: string): void {
    this.#worker(name).release()
  }

  /** The node ends the pod for want of room. */
  evict(name: string, message = 'The node was low on resource: ephemeral-storage.'): void {
    this.#worker(name).evict(message)
  }

  /** The node vanishes from the API server's sight; its processes die, or go on unseen. */
  lose(name: string, processes: 'killed' | 'running'): void {
    const node = this.#node(name)
    node.lost = true
    if (processes === 'running') return
    for (const { worker, node: home } of this.#workers.values()) if (home === node) worker.die()
  }

  /** The node is back. What ran on goes on; what died is told as a node that was started anew tells it. */
  async restore(name: string): Promise<void> {
    const node = this.#node(name)
    node.lost = false
    await this.#options.api.send(
      'PATCH',
      `/api/v1/nodes/${name}`,
      { spec: { taints: null } },
      'application/merge-patch+json',
    )
    await node.beat()
    for (const pod of this.#pods.objects.values()) this.#seen(pod, false)
  }

  #seen(pod: V1Pod, gone: boolean): void {
    const uid = pod.metadata?.uid ?? ''
    const known = this.#workers.get(uid)
    const node = this.nodes.get(pod.spec?.nodeName ?? '')
    if (node?.lost === true || this.#stopping) return
    if (known !== undefined) {
      if (gone) known.worker.removed()
      else known.worker.update(pod)
      return
    }
    const over = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed'
    if (gone || node === undefined) return
    if (this.#forgotten.has(uid) || over) {
      // its volumes are gone with the node: all that is left to do is to say so
      if (pod.metadata?.deletionTimestamp !== undefined) void this.#remove(pod)
      return
    }
    const worker = new PodWorker(pod, {
      api: this.#options.api,
      runtime: this.#options.runtime,
      times: () => this.times,
      root: this.#options.root,
      ip: node.nextIp(),
      hostIp: node.hostIp,
      online: () => !node.lost,
      onGone: () => {
        this.#workers.delete(uid)
        this.#forgotten.add(uid)
      },
    })
    this.#workers.set(uid, { worker, node })
    const running = worker.run().finally(() => this.#running.delete(running))
    this.#running.add(running)
  }

  async #remove(pod: V1Pod): Promise<void> {
    const { name, namespace, uid } = pod.metadata ?? {}
    const body = { gracePeriodSeconds: 0, preconditions: { uid } }
    await this.#options.api
      .send('DELETE', `/api/v1/namespaces/${namespace}/pods/${name}`, body)
      .catch(() => undefined)
  }

  async #beat(): Promise<void> {
    for (const node of this.nodes.values()) if (!node.lost) await node.beat()
  }

  async #schedule(): Promise<void> {
    const nodes = [...this.#nodeObjects.objects.values()].filter((node) =>
      this.nodes.has(node.metadata?.name ?? ''),
    )
    for (const pod of this.#pods.objects.values()) {
      const { name, namespace, deletionTimestamp } = pod.metadata ?? {}
      if (pod.spec?.nodeName !== undefined || deletionTimestamp !== undefined) continue
      const chosen = chooseNode(pod, nodes, this.#pods.objects.values())
      if (chosen === undefined) await this.#unschedulable(pod)
      else {
        const target = { apiVersion: 'v1', kind: 'Node', name: chosen }
        const body = { apiVersion: 'v1', kind: 'Binding', metadata: { name, namespace }, target }
        await this.#options.api.send('POST', `/api/v1/namespaces/${namespace}/pods/${name}/binding`, body)
        // until the watch tells, it counts as bound: nodes are filled evenly
        pod.spec = { ...pod.spec, containers: pod.spec?.containers ?? [], nodeName: chosen }
      }
    }
  }

  async #unschedulable(pod: V1Pod): Promise<void> {
    const told = pod.status?.conditions?.some(({ reason }) => reason === 'Unschedulable')
    if (told === true) return
    const { name, namespace } = pod.metadata ?? {}
    const condition = {
      type: 'PodScheduled',
      status: 'False',
      reason: 'Unschedulable',
      message: `0/${this.nodes.size} nodes are available`,
      lastTransitionTime: new Date().toISOString(),
    }
    const path = `/api/v1/namespaces/${namespace}/pods/${name}/status`
    await this.#options.api.send('PATCH', path, { status: { conditions: [condition] } }, STRATEGIC_MERGE)
  }

  /** Does it again and again, one at a time; a server that is away is met with the next try. */
  #every(ms: number, act: () => Promise<void>): void {
    let busy = false
    this.#timers.push(
      setInterval(() => {
        if (busy) return
        busy = true
        act()
          .catch((error: unknown) => {
            if (statusOf(error) === 403) process.stderr.write(`stand-in kubelet: ${String(error)}\n`)
          })
          .finally(() => {
            busy = false
          })
      }, ms),
    )
  }

  #find(name: string): { readonly worker: PodWorker } | undefined {
    return [...this.#workers.values()].find(({ worker }) => worker.name === name)
  }

  #worker(name: string): PodWorker {
    const found = this.#find(name)
    if (found === undefined)
      throw new Error(`no pod ${name} runs here; there are ${this.podNames.join(', ')}`)
    return found.worker
  }

  #node(name: string): StandInNode {
    const node = this.nodes.get(name)
    if (node === undefined) throw new Error(`no node ${name}`)
    return node
  }
}
