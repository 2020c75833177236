import { type KubeletApi, MERGE, STRATEGIC_MERGE, statusOf } from './api.ts'

const LEASES = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases'

const FIRST_BLOCK = 16
const BLOCKS = 224
/** Several test files run at once, on one loopback: each process takes blocks of its own. */
const BLOCKS_A_PROCESS = 8
let blocks = 0

function nextBlock(): number {
  const first = (process.pid * BLOCKS_A_PROCESS) % BLOCKS
  return FIRST_BLOCK + ((first + (blocks++ % BLOCKS_A_PROCESS)) % BLOCKS)
}

/** A Node object and its heartbeat: the controllers of the cluster judge it as they judge a real one. */
export class StandInNode {
  readonly name: string
  /** First parts of its pods' addresses. */
  readonly subnet: string
  /** Cut from the API server. */
  lost = false
  readonly #api: KubeletApi
  #pods = 0

  constructor(api: KubeletApi, name: string) {
    this.#api = api
    this.name = name
    this.subnet = `127.${nextBlock()}`
  }

  get hostIp(): string {
    return `${this.subnet}.0.1`
  }

  /** An address for a pod; none is given twice before some 60,000 pods. */
  nextIp(): string {
    const n = ++this.#pods
    return `${this.subnet}.${1 + (Math.floor(n / 250) % 250)}.${2 + (n % 250)}`
  }

  async register(): Promise<void> {
    const { name } = this
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
