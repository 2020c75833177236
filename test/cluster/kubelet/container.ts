import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { resolve } from 'node:path'
import type { V1Container, V1Pod } from '@kubernetes/client-node'
import { DIES_WITH_US } from '../../support/children.ts'
import type { PodPlace } from './place.ts'

const MAIN = resolve(import.meta.dirname, '../../../capture/main.ts')
/** Of what a container printed, the last so many characters are kept, for the words of a failed test. */
const OUTPUT_LENGTH_MAX = 200_000
const SIGNAL_EXIT_BASE = 128

export interface Ended {
  readonly exitCode: number
  readonly reason: 'Completed' | 'Error' | 'OOMKilled'
  readonly startedAt: string
  readonly finishedAt: string
}

/** One instance of a pod's container. */
export interface Container {
  readonly pid: number | undefined
  readonly startedAt: string
  readonly ended: Promise<Ended>
  /** Ends of its own accord, or is made to: `SIGTERM`, `SIGKILL`, `SIGSTOP` … */
  signal(signal: NodeJS.Signals): void
  /** One answer of its port: whether it was a success, and came in time. */
  probe(path: string, timeoutMs: number): Promise<boolean>
}

/** Makes instances of a pod's container. */
export interface Runtime {
  start(pod: V1Pod, container: V1Container, place: PodPlace, ip: string): Promise<Container>
  /** What the pod's containers printed. */
  output(uid: string): string
}

async function answers(address: string, timeoutMs: number): Promise<boolean> {
  try {
    const response = await fetch(address, { signal: AbortSignal.timeout(timeoutMs) })
    await response.body?.cancel()
    return response.ok
  } catch {
    // nobody listens yet, or the process hangs: both are a failed probe
    return false
  }
}

/** Runs a pod's container as a process of this machine: the real capture, with the paths of its pod. */
export class ProcessRuntime implements Runtime {
  readonly #outputs = new Map<string, string>()
  readonly #env: (pod: V1Pod) => Readonly<Record<string, string>>

  /** `env` stands beside the container's own environment, as an image's would, or what a node does to its processes. */
  constructor(env: (pod: V1Pod) => Readonly<Record<string, string>> = () => ({})) {
    this.#env = env
  }

  output(uid: string): string {
    return this.#outputs.get(uid) ?? ''
  }

  async start(pod: V1Pod, container: V1Container, place: PodPlace, ip: string): Promise<Container> {
    const uid = pod.metadata?.uid ?? ''
    const env = environmentOf(pod, container, ip)
    const config = env['L2CAP_CONFIG']
    if (config !== undefined) env['L2CAP_CONFIG'] = onAddress(place.translate(config, container), ip)
    const [command = process.execPath, ...before] = DIES_WITH_US
    const child = spawn(command, before.length === 0 ? [MAIN] : [...before, process.execPath, MAIN], {
      env: { PATH: process.env['PATH'] ?? '', ...this.#env(pod), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: place.dir,
    })
    const startedAt = new Date().toISOString()
    const keep = (chunk: Buffer) => {
      this.#outputs.set(uid, (this.output(uid) + chunk).slice(-OUTPUT_LENGTH_MAX))
    }
    child.stdout?.on('data', keep)
    child.stderr?.on('data', keep)
    const ended = new Promise<Ended>((end) => {
      child.once('exit', (code, signal) => {
        const exitCode = code ?? SIGNAL_EXIT_BASE + (signal === null ? 0 : constants.signals[signal])
        end({
          exitCode,
          reason: exitCode === 0 ? 'Completed' : 'Error',
          startedAt,
          finishedAt: new Date().toISOString(),
        })
      })
    })
    const port = container.ports?.find(({ name }) => name === 'http')?.containerPort ?? 0
    return {
      pid: child.pid,
      startedAt,
      ended,
      signal: (signal) => void child.kill(signal),
      probe: (path, timeoutMs) => answers(`http://${ip}:${port}${path}`, timeoutMs),
    }
  }
}

/** A container's environment, with what it asks of the pod by the downward API. */
function environmentOf(pod: V1Pod, container: V1Container, ip: string): Record<string, string> {
  const fields: Readonly<Record<string, string | undefined>> = {
    'metadata.name': pod.metadata?.name,
    'metadata.namespace': pod.metadata?.namespace,
    'metadata.uid': pod.metadata?.uid,
    'spec.nodeName': pod.spec?.nodeName,
    'status.podIP': ip,
  }
  const env: Record<string, string> = {}
  for (const { name, value, valueFrom } of container.env ?? []) {
    const path = valueFrom?.fieldRef?.fieldPath
    const told = path === undefined ? value : fields[path]
    if (told === undefined) throw new Error(`this kubelet cannot give ${name} its value (${path})`)
    env[name] = told
  }
  return env
}

/** All pods share one machine here: each listens on the address of its pod alone. */
function onAddress(config: string, ip: string): string {
  return JSON.stringify({ ...JSON.parse(config), host: ip })
}
