import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { type KubeletApi, MERGE, STRATEGIC_MERGE, statusOf } from './api.ts'

const LEASES = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases'

/** Second parts of the loopback addresses that nodes take. */
const BLOCKS = { first: 16, count: 224 }
/** A kubelet's own port: who listens there has the block. */
const KUBELET_PORT = 10_250

/**
 * A block of loopback addresses that no other node on this machine has, of this process or of another: several test
 * files run at once, and the processes of pods may not meet on an address. Closing the server gives it back.
 */
async function takeBlock(): Promise<{ readonly block: number; readonly server: Server }> {
  for (let i = 0; i < BLOCKS.count; i++) {
    const block = BLOCKS.first + ((process.pid + i) % BLOCKS.count)
    const server = createServer((socket) => socket.destroy())
    try {
      await once(server.listen(KUBELET_PORT, `127.${block}.0.1`), 'listening')
      server.unref()
      return { block, server }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    }
  }
  throw new Error(`all ${BLOCKS.count} blocks of loopback addresses are taken by other nodes`)
}

/** A Node object and its heartbeat: the controllers of the cluster judge it as they judge a real one. */
export class StandInNode {
  readonly name: string
  /** Cut from the API server. */
  lost = false
  readonly #api: KubeletApi
  #home: { readonly block: number; readonly server: Server } | undefined
  #pods = 0

  constructor(api: KubeletApi, name: string) {
    this.#api = api
    this.name = name
  }

  get hostIp(): string {
    return `${this.#subnet}.0.1`
  }

  /** An address for a pod; none is given twice before some 60,000 pods. */
  nextIp(): string {
    const n = ++this.#pods
    return `${this.#subnet}.${1 + (Math.floor(n / 250) % 250)}.${2 + (n % 250)}`
  }

  /** First parts of its pods' addresses. */
  get #subnet(): string {
    if (this.#home === undefined) throw new Error(`${this.name} is not registered: it has no addresses`)
    return `127.${this.#home.block}`
  }

  async register(): Promise<void> {
    const { name } = this
    this.#home ??= await takeBlock()
    const labels = { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux' }
    await this.#create('/api/v1/nodes', { kind: 'Node', apiVersion: 'v1', metadata: { name, labels } })
    await this.#create(LEASES, {
      kind: 'Lease',
      apiVersion: 'coordination.k8s.io/v1',
      metadata: { name, namespace: 'kube-node-lease' },
      spec: { holderIdentity: name, leaseDurationSeconds: 40 },
    })
    await this.beat()
  }

  /** One heartbeat: the Lease, and the condition Ready where a controller has set it otherwise. */
  async beat(): Promise<void> {
    const now = new Date().toISOString()
    const renewTime = now.replace('Z', '000Z')
    await this.#api.send('PATCH', `${LEASES}/${this.name}`, { spec: { renewTime } }, MERGE)
    const allocatable = { cpu: '64', memory: '256Gi', pods: '2000', 'ephemeral-storage': '1Ti' }
    const ready = {
      type: 'Ready',
      status: 'True',
      reason: 'KubeletReady',
      message: 'the stand-in kubelet is ready',
      lastHeartbeatTime: now,
      lastTransitionTime: now,
    }
    const status = { conditions: [ready], allocatable, capacity: allocatable }
    await this.#api.send('PATCH', `/api/v1/nodes/${this.name}/status`, { status }, STRATEGIC_MERGE)
  }

  async remove(): Promise<void> {
    this.#home?.server.close()
    for (const path of [`/api/v1/nodes/${this.name}`, `${LEASES}/${this.name}`]) {
      try {
        await this.#api.send('DELETE', path)
      } catch (error) {
        if (statusOf(error) !== 404) throw error
      }
    }
  }

  async #create(path: string, body: object): Promise<void> {
    try {
      await this.#api.send('POST', path, body)
    } catch (error) {
      if (statusOf(error) !== 409) throw error
    }
  }
}
