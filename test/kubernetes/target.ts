/** The cluster that a test file runs on: that of this run, or somebody's. */

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter } from 'node:path'
import { promisify } from 'node:util'
import { readKubeconfig } from '../cluster/access.ts'
import { applyDefinitions } from '../cluster/definitions.ts'
import { ApiClient, givenKubeconfig, programPath } from '../cluster/mod.ts'
import { RealCluster } from './cluster.ts'

const run = promisify(execFile)
/** Longer than any time that kubectl or helm is given itself: killed, helm leaves a release that takes no other. */
const WITHIN_MS = 600_000

/** Why a test that breaks nodes, or servers, is skipped on a cluster that is not ours to break. */
export const SOMEBODYS = 'the cluster is somebody else’s: its servers and nodes are left alone'

/** Set by the run itself: where its cluster is. */
export const CLUSTER_DIR_ENV = 'L2CAP_TEST_CLUSTER_DIR'

export interface Target {
  readonly api: ApiClient
  readonly kubeconfig: string
  /** Undefined for somebody's cluster: its nodes are left alone. */
  readonly nodes: RealCluster | undefined
}

/** Why no test on a cluster can run, for its skip; empty where one can. */
export function targetProblem(): string {
  return givenKubeconfig() !== undefined || ownDir() !== undefined
    ? ''
    : 'no cluster: npm run test:cluster brings one, or L2CAP_TEST_KUBECONFIG names one'
}

/** The same for a test that breaks nodes, or the API server. */
export function faultsProblem(): string {
  if (targetProblem() !== '') return targetProblem()
  return ownDir() === undefined ? SOMEBODYS : ''
}

let opened: Promise<Target> | undefined

/** The cluster, with our definition unless the test wants it as it is. */
export async function openTarget({ definitions = true } = {}): Promise<Target> {
  opened ??= open()
  const target = await opened
  if (definitions) await applyDefinitions(target.api, { replace: false })
  return target
}

async function open(): Promise<Target> {
  const dir = ownDir()
  const kubeconfig = givenKubeconfig() ?? (dir === undefined ? undefined : new RealCluster(dir).kubeconfig)
  if (kubeconfig === undefined) throw new Error(targetProblem())
  const api = new ApiClient(await readKubeconfig(kubeconfig))
  return { api, kubeconfig, nodes: dir === undefined ? undefined : new RealCluster(dir) }
}

function ownDir(): string | undefined {
  const dir = process.env[CLUSTER_DIR_ENV]
  return givenKubeconfig() === undefined && dir !== undefined && existsSync(dir) ? dir : undefined
}

/** What `kubectl` or `helm` prints on this cluster. Throws with its own words where it fails. */
export async function call(
  { kubeconfig }: Target,
  program: 'kubectl' | 'helm',
  ...args: readonly string[]
): Promise<string> {
  const path = `${programPath(program)}`
  const env = { ...process.env, KUBECONFIG: kubeconfig, PATH: `${path}${delimiter}${process.env['PATH']}` }
  try {
    return (await run(path, [...args], { env, timeout: WITHIN_MS, maxBuffer: 64 * 1024 * 1024 })).stdout
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr).slice(-3000) : ''
    throw new Error(`${program} ${args.join(' ')} failed:\n${said || String(error)}`)
  }
}
