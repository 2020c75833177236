/**
 * A real cluster on this machine: control plane and nodes in network namespaces of their own, each node with a
 * containerd and a kubelet, of the programs that test/setup.js built. Nothing of it stays behind but two empty files
 * for locks: when the process that started it ends, however it ends, the cluster ends.
 */
import { execFile, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, openSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { V1Pod } from '@kubernetes/client-node'
import { type Program, programPath } from '../cluster/mod.ts'

const run = promisify(execFile)
const SCRIPTS = join(import.meta.dirname, 'nodes')
/** More than all that the scripts themselves wait for. */
const UP_WITHIN_MS = 30 * 60_000
const DOWN_WITHIN_MS = 20 * 60_000
const FAULT_WITHIN_MS = 10 * 60_000

const PROGRAMS: readonly Program[] = [
  ...(['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubectl', 'helm'] as const),
  ...([
    'kubelet',
    'containerd',
    'containerd-shim-runc-v2',
    'ctr',
    'bridge',
    'loopback',
    'host-local',
  ] as const),
]
/** What the machine brings. */
const NEEDED = [
  'runc',
  'buildah',
  'mmdebstrap',
  'ip',
  'nsenter',
  'unshare',
  'openssl',
  'setsid',
  'flock',
  'timeout',
] as const

export type NodeFault = 'kubelet-stop' | 'kubelet-start' | 'cut' | 'heal' | 'freeze' | 'thaw' | 'crash'

/** Why there can be no cluster here, for the skip of a test; empty where there can. */
export function nodesProblem(): string {
  if (process.getuid?.() !== 0) return 'nodes of a cluster need root'
  const unbuilt = [...PROGRAMS, 'pause' as const].filter((program) => !existsSync(programPath(program)))
  if (unbuilt.length > 0)
    return `not built: ${unbuilt.join(', ')}; with Go on the machine, npm run test:cluster builds them`
  const path = (process.env['PATH'] ?? '').split(':')
  // groups of the nodes' processes are frozen, squeezed and ended by the files of the first version
  if (!existsSync('/sys/fs/cgroup/cpuset/cpuset.cpus'))
    return 'this machine has cgroup v2; the nodes of the tests know v1 alone'
  const missing = NEEDED.filter((program) => !path.some((dir) => existsSync(join(dir, program))))
  return missing.length === 0 ? '' : `not on this machine: ${missing.join(', ')}`
}

export interface RealClusterOptions {
  /** Clusters of other names run beside it. */
  readonly name: string
  readonly nodes: number
  /** Archives that every node gets. */
  readonly images: readonly string[]
  /** Ends the wait for another run's cluster of this name. */
  readonly signal: AbortSignal
}

export class RealCluster {
  readonly dir: string

  /** That of a cluster which another process started: for tests, which the run starts. */
  constructor(dir: string) {
    this.dir = dir
  }

  /** Starts it, and returns it with what there is to say of its start. Throws where it does not get ready. */
  static async start({ name, nodes, images, signal }: RealClusterOptions): Promise<[RealCluster, string]> {
    const cluster = new RealCluster(join(tmpdir(), `l2cap-k8s-${name}`))
    await takeTurn(cluster.dir, signal)
    // of a run that was killed while its guard was, too
    await cluster.stop()
    mkdirSync(cluster.programs, { recursive: true })
    // the guard of a run before this one may come to its work only now: it ends its own cluster alone
    const owner = randomUUID()
    writeFileSync(join(cluster.dir, 'owner'), owner)
    mkdirSync(cluster.scratch)
    for (const program of PROGRAMS) symlinkSync(programPath(program), join(cluster.programs, program))
    const guard = [join(SCRIPTS, 'guard.sh'), cluster.dir, String(process.pid), owner]
    spawn('setsid', guard, { stdio: 'ignore', detached: true, env: cluster.#env }).unref()
    try {
      return [cluster, await cluster.#script('up.sh', [String(nodes), ...images], UP_WITHIN_MS)]
    } catch (error) {
      await cluster.stop()
      throw error
    }
  }

  get programs(): string {
    return join(this.dir, 'bin')
  }

  /** For files of tests: it goes with the cluster, also where a run was killed. */
  get scratch(): string {
    return join(this.dir, 'tmp')
  }

  /** Of cluster-admin; it leads somewhere only for processes that `inCluster` starts. */
  get kubeconfig(): string {
    return join(this.dir, 'admin.kubeconfig')
  }

  /** A command to put before another, which then runs in the network of the control plane. */
  get inCluster(): string {
    return join(this.dir, 'in-cluster')
  }

  async fault(fault: NodeFault, node: string): Promise<void> {
    await this.#script('fault.sh', [fault, node], FAULT_WITHIN_MS)
  }

  /** The API server is gone; `startApi` brings it back, and resolves when it answers. */
  async killApi(): Promise<void> {
    await this.#script('fault.sh', ['api-kill'], FAULT_WITHIN_MS)
  }

  async startApi(): Promise<void> {
    await this.#script('fault.sh', ['api-start'], FAULT_WITHIN_MS)
  }

  /** The first process of a container, by the id that a pod's status has. */
  async pidOf(containerId: string): Promise<number> {
    return Number(await this.#script('fault.sh', ['pid', containerId], FAULT_WITHIN_MS))
  }

  /** Takes memory from a container until the kernel ends it for having none, as under a limit that is too low. */
  async squeeze(containerId: string): Promise<void> {
    await this.#script('fault.sh', ['squeeze', containerId], FAULT_WITHIN_MS)
  }

  /** The directory of a pod's emptyDir volume, on its node. */
  volume({ metadata, spec }: V1Pod, name: string): string {
    const pods = join(this.dir, spec?.nodeName ?? '', 'kubelet/root/pods')
    return join(pods, metadata?.uid ?? '', 'volumes/kubernetes.io~empty-dir', name)
  }

  /** Gives an image of the nodes another name besides. */
  async tagImage(image: string, name: string): Promise<void> {
    await this.#script('tag.sh', [image, name], FAULT_WITHIN_MS)
  }

  /** Ends it, whatever state it is in. */
  async stop(): Promise<void> {
    await this.#script('down.sh', [], DOWN_WITHIN_MS)
  }

  get #env(): NodeJS.ProcessEnv {
    return { PATH: process.env['PATH'], PROGRAMS: this.programs, HOME: this.dir, NODE: process.execPath }
  }

  async #script(name: string, args: readonly string[], withinMs: number): Promise<string> {
    // with all that it started and waits for: nothing of it may go on once it has failed
    const limit = ['--signal=KILL', String(withinMs / 1000)]
    try {
      const words = [...limit, join(SCRIPTS, name), this.dir, ...args]
      return (await run('timeout', words, { env: this.#env })).stdout
    } catch (error) {
      const said = error instanceof Error && 'stderr' in error ? String(error.stderr).slice(-3000) : ''
      throw new Error(
        `${name} ${args.join(' ')} failed, or took longer than ${withinMs / 1000} s:\n${said || String(error)}`,
      )
    }
  }
}

/**
 * One run at a time has the cluster of a name. The lock is that of an open file: it is ours until this process ends,
 * however it ends.
 */
async function takeTurn(dir: string, signal: AbortSignal): Promise<void> {
  const file = openSync(`${dir}.turn`, 'w')
  const flock = async (...words: readonly string[]): Promise<boolean> => {
    const child = spawn('flock', [...words, '3'], { stdio: ['ignore', 'inherit', 'inherit', file], signal })
    const [code] = await once(child, 'exit')
    return code === 0
  }
  if (await flock('--nonblock')) return
  process.stderr.write(`another run has the cluster in ${dir}; waits for its end\n`)
  if (!(await flock())) throw new Error(`${dir}.turn cannot be locked`)
}
