/** The programs of a control plane and of nodes, as test/setup.js built them, and whether there are any. */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** From which pins each program comes, and the files that are the pins. */
const PROGRAMS = {
  etcd: 'etcd',
  'kube-apiserver': 'kubernetes',
  'kube-controller-manager': 'kubernetes',
  kubectl: 'kubectl',
  helm: 'kubectl',
  'kube-scheduler': 'kubernetes',
  kubelet: 'kubernetes',
  containerd: 'containerd',
  'containerd-shim-runc-v2': 'containerd',
  ctr: 'containerd',
  bridge: 'cni',
  loopback: 'cni',
  'host-local': 'cni',
  pause: 'pause',
  promtool: 'promtool',
} as const
const PINS = {
  etcd: ['go.mod', 'go.sum'],
  kubernetes: ['go.mod', 'go.sum'],
  kubectl: ['package.json', 'package-lock.json'],
  containerd: ['go.mod', 'go.sum'],
  cni: ['go.mod', 'go.sum'],
  pause: ['go.mod', 'main.go'],
  promtool: ['go.mod', 'go.sum'],
} as const

export type Program = keyof typeof PROGRAMS
/** Without these there is no control plane. */
const NEEDED = ['etcd', 'kube-apiserver', 'kube-controller-manager'] as const

/** Where set-up puts the program: by the hash of what it is made from. */
export function programPath(program: Program): string {
  const source = PROGRAMS[program]
  const hash = createHash('sha256')
  for (const name of PINS[source]) {
    hash.update(readFileSync(join(import.meta.dirname, 'servers', source, name)))
  }
  const cache = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'l2cap')
  return join(cache, `cluster-${source}-${hash.digest('hex').slice(0, 16)}`, program)
}

/** Somebody's own cluster, by the one variable that names it: a kubeconfig, whose current context is taken. */
export function givenKubeconfig(env: NodeJS.ProcessEnv = process.env): string | undefined {
  return env['L2CAP_TEST_KUBECONFIG'] || undefined
}

/** Why there is no API server to test against, for the skip of a test; empty where there is one. */
export function clusterProblem(): string {
  return givenKubeconfig() === undefined ? programsProblem() : ''
}

/**
 * Why no control plane can be had that a test may kill, or run a stand-in for nodes on; empty where one can.
 */
export function ownClusterProblem(): string {
  return givenKubeconfig() === undefined
    ? programsProblem()
    : 'the cluster is somebody else’s: its servers and nodes are left alone'
}

/** Why there is no kubectl, for the skip of a test. */
export function kubectlProblem(): string {
  return existsSync(programPath('kubectl')) ? '' : 'kubectl is not there: npm test brings it'
}

/** Why the tests cannot start a control plane of their own. */
export function programsProblem(): string {
  const missing = NEEDED.filter((program) => !existsSync(programPath(program)))
  if (missing.length === 0) return ''
  return `not built: ${missing.join(', ')}; with Go on the machine, npm test builds them`
}
