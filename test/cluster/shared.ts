/**
 * The API server of a run, for all of its test files:
 *
 *   L2CAP_TEST_KUBECONFIG      somebody's own cluster: a kubeconfig, whose current context is taken. No other variable,
 *                              KUBECONFIG neither, and no file at a usual place, ever leads to a cluster. Tests make and
 *                              remove namespaces there, and definitions that are missing are put there, and stay.
 *   L2CAP_TEST_CONTROL_PLANE   set by the run itself: where its own control plane is
 *
 * Without either the test file starts a control plane of its own.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { readKubeconfig } from './access.ts'
import { ApiClient } from './client.ts'
import { Cluster } from './cluster.ts'
import { type ControlPlane, startControlPlane } from './control-plane.ts'
import { applyDefinitions } from './definitions.ts'
import { clusterProblem, givenKubeconfig, programsProblem } from './programs.ts'

const OF_THE_RUN = 'L2CAP_TEST_CONTROL_PLANE'
let opened: Promise<Cluster> | undefined

/** The cluster of this run. Use a namespace of your own: others work in it at the same time. */
export async function openCluster(): Promise<Cluster> {
  opened ??= open()
  return await opened
}

/**
 * Starts a control plane for all test files that this process will start, and says so in its environment.
 * Nothing where there is a cluster already, or none can be had. Returns how to end it.
 */
export async function shareControlPlane(): Promise<() => Promise<void>> {
  if (givenKubeconfig() !== undefined || programsProblem() !== '') return async () => undefined
  const plane = await startControlPlane()
  const path = join(plane.dir, 'shared.json')
  const { address } = plane.api
  writeFileSync(path, JSON.stringify({ address, auditPath: plane.auditPath, tls: plane.tls }), {
    mode: 0o600,
  })
  process.env[OF_THE_RUN] = path
  removeAtEnd(plane)
  return async () => {
    delete process.env[OF_THE_RUN]
    await plane.stop()
  }
}

async function open(): Promise<Cluster> {
  const problem = clusterProblem()
  if (problem !== '') throw new Error(problem)
  const kubeconfig = givenKubeconfig()
  if (kubeconfig !== undefined) {
    const api = new ApiClient(await readKubeconfig(kubeconfig))
    await applyDefinitions(api, { replace: false })
    return new Cluster({ api, dir: ownDir() })
  }
  const path = process.env[OF_THE_RUN]
  if (path !== undefined) {
    const { address, auditPath, tls } = JSON.parse(readFileSync(path, 'utf8'))
    return new Cluster({ api: new ApiClient(address), dir: ownDir(), auditPath, tls })
  }
  const plane: ControlPlane = await startControlPlane()
  removeAtEnd(plane)
  return plane
}

/** However this process ends, save by SIGKILL: then its programs die, and their data stays. */
function removeAtEnd(plane: ControlPlane): void {
  process.once('exit', () => plane.remove())
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => process.exit(128 + constants.signals[signal]))
  }
}

function ownDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'l2cap-cluster-files-'))
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }))
  return dir
}
