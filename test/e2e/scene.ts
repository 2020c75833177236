/**
 * What the end-to-end tests share: a namespace on a real API server, an operator process with exactly the rights that
 * the chart ships, the stand-in kubelet with real captures, a simulated exchange, and a real S3 server.
 */
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { V1Pod } from '@kubernetes/client-node'
import type { L2CaptureResource } from '../../api/resource.ts'
import { LocalBucket } from '../../capture/ship/mod.ts'
import { verifyBucket } from '../../capture/verify/mod.ts'
import { type KubeletTimes, ProcessRuntime, type Runtime, StandInKubelet } from '../cluster/kubelet/mod.ts'
import type { ApiClient, Cluster, TestContext } from '../cluster/mod.ts'
import { ApiFailure, openCluster } from '../cluster/mod.ts'
import { type S3Server, startS3 } from '../s3/server.ts'
import { type MarketSimOptions, type Sim, startSim } from '../sim/mod.ts'
import { judgeBuckets, type Summary } from '../support/judge.ts'
import { waitFor } from '../support/wait.ts'
import { OperatorProcess } from './operator-process.ts'
import { leaseRules, operatorRules } from './rules.ts'
import { type Administered, IMAGE, settingsOf } from './settings.ts'

export const BUCKET = 'market-data'
export const PREFIX = 'l2'
export const SECRET = 'l2cap-s3'
/** Guards of a test in which no feed is to look stale, however busy the machine is. */
export const CALM = { staleAfterSeconds: 10 }
const WITHIN_MS = 180_000

export interface SceneOptions {
  readonly market?: Partial<MarketSimOptions>
  readonly symbols?: readonly string[]
  readonly settings?: Administered
  readonly kubelet?: Partial<KubeletTimes>
  readonly runtime?: Runtime
  /** No store: nothing of the test looks at data. */
  readonly storeless?: boolean
  /** In place of the run's own: for tests that break the server itself. */
  readonly cluster?: Cluster
  /** Not started with the scene. */
  readonly withoutOperator?: boolean
}

export type Spec = Record<string, unknown>

export class Scene {
  readonly cluster: Cluster
  readonly namespace: string
  readonly dir: string
  readonly sim: Sim
  readonly kubelet: StandInKubelet
  readonly operators: OperatorProcess[] = []
  readonly #s3: S3Server | undefined
  readonly #kubeconfig: string
  readonly #settings: string
  #operatorNumber = 0

  private constructor(parts: {
    cluster: Cluster
    namespace: string
    dir: string
    sim: Sim
    kubelet: StandInKubelet
    s3: S3Server | undefined
    kubeconfig: string
    settings: string
  }) {
    this.cluster = parts.cluster
    this.namespace = parts.namespace
    this.dir = parts.dir
    this.sim = parts.sim
    this.kubelet = parts.kubelet
    this.#s3 = parts.s3
    this.#kubeconfig = parts.kubeconfig
    this.#settings = parts.settings
  }

  /** Starts everything; all of it ends with the test. */
  static async open(context: TestContext, options: SceneOptions = {}): Promise<Scene> {
    const cluster = options.cluster ?? (await openCluster())
    const namespace = await cluster.namespace(context, 'e2e')
    const dir = await mkdtemp(join(tmpdir(), 'l2cap-e2e-'))
    const sim = await startSim({
      seed: 1,
      symbols: [...(options.symbols ?? ['BTCUSDT', 'ETHUSDT'])],
      ...options.market,
    })
    const s3 = options.storeless === true ? undefined : await startS3({ dir: join(dir, 's3') })
    await s3?.makeBucket(BUCKET)
    if (s3 !== undefined) await createSecret(cluster.api, namespace, s3)
    const account = await cluster.serviceAccount(namespace, 'l2cap-operator')
    await cluster.grant(namespace, 'l2cap-operator', [...operatorRules(), ...leaseRules()])
    const settings = join(dir, 'settings.json')
    await writeFile(settings, JSON.stringify(settingsOf(sim.endpoints, options.settings)))
    const kubelet = new StandInKubelet({
      api: cluster.api,
      runtime: options.runtime ?? new ProcessRuntime(),
      root: join(dir, 'pods'),
      nodes: ['a', 'b'].map((name) => `${namespace}-${name}`),
      namespace,
      times: { backOffMs: 500, ...options.kubelet },
    })
    await kubelet.start()
    const kubeconfig = cluster.kubeconfig(account.token)
    const scene = new Scene({ cluster, namespace, dir, sim, kubelet, s3, kubeconfig, settings })
    context.after(() => scene.#close())
    if (options.withoutOperator !== true) await scene.startOperator().leads()
    return scene
  }

  get s3(): S3Server {
    if (this.#s3 === undefined) throw new Error('this scene has no store')
    return this.#s3
  }

  /** The operator that was started last. */
  get operator(): OperatorProcess {
    const operator = this.operators.at(-1)
    if (operator === undefined) throw new Error('this scene has no operator')
    return operator
  }

  startOperator({
    kubeconfig = this.#kubeconfig,
    identity = '',
    args = [] as readonly string[],
    env = {} as Readonly<Record<string, string>>,
  } = {}): OperatorProcess {
    const operator = new OperatorProcess({
      settings: this.#settings,
      kubeconfig,
      namespace: this.namespace,
      identity: identity === '' ? `operator-${++this.#operatorNumber}` : identity,
      args,
      env,
    })
    this.operators.push(operator)
    return operator
  }

  /** Changes the administrator's settings; they count from the operator's next start on. */
  async changeSettings(options: SceneOptions & { readonly image?: string }): Promise<void> {
    const settings = settingsOf(this.sim.endpoints, options.settings)
    await writeFile(this.#settings, JSON.stringify({ ...settings, image: options.image ?? IMAGE }))
  }

  /** An upgrade: the operator ends in order, and another one follows under these settings. */
  async upgrade(options: SceneOptions & { readonly image?: string }): Promise<void> {
    await this.operator.stop()
    await this.changeSettings(options)
    await this.startOperator().leads()
  }

  // captures

  async apply(name: string, spec: Spec = {}): Promise<void> {
    const capture = {
      apiVersion: 'l2cap.dev/v1alpha1',
      kind: 'L2Capture',
      metadata: { name },
      spec: { ...this.defaultSpec(), ...spec },
    }
    await this.cluster.api.apply(`${this.captures}/${name}`, capture)
  }

  defaultSpec(): Spec {
    const endpoint = this.#s3 === undefined ? 'http://127.0.0.1:9' : this.s3.endpoint
    return {
      exchange: 'BinanceUsdm',
      symbols: ['BTCUSDT'],
      rotationSeconds: 10,
      guards: { staleAfterSeconds: 2 },
      storage: { s3: { bucket: BUCKET, prefix: PREFIX, endpoint, credentialsSecretName: SECRET } },
    }
  }

  async patch(name: string, spec: Spec): Promise<void> {
    await this.cluster.api.patch(`${this.captures}/${name}`, { spec })
  }

  async delete(name: string): Promise<void> {
    await this.cluster.api.delete(`${this.captures}/${name}`)
  }

  async capture(name: string): Promise<L2CaptureResource | undefined> {
    try {
      return await this.cluster.api.get<L2CaptureResource>(`${this.captures}/${name}`)
    } catch (error) {
      if (error instanceof ApiFailure && error.status === 404) return undefined
      throw error
    }
  }

  get captures(): string {
    return `/apis/l2cap.dev/v1alpha1/namespaces/${this.namespace}/l2captures`
  }

  /** Resolves when the condition has this status (and reason). */
  async until(
    name: string,
    type: string,
    status: string,
    reason?: string,
    deadlineMs = WITHIN_MS,
  ): Promise<L2CaptureResource> {
    const wanted = `${type}=${status}${reason === undefined ? '' : ` (${reason})`}`
    return await waitFor(
      `${name} to be ${wanted}`,
      async () => {
        const capture = await this.capture(name)
        const condition = capture?.status?.conditions?.find((one) => one.type === type)
        const current = capture?.status?.observedGeneration === capture?.metadata.generation
        const fits = condition?.status === status && (reason ?? condition.reason) === condition.reason
        return current && fits ? capture : undefined
      },
      { deadlineMs, everyMs: 200, show: () => this.#state(name) },
    )
  }

  // pods

  async pods(symbol?: string): Promise<V1Pod[]> {
    const pods = await this.cluster.api.list<V1Pod>(`/api/v1/namespaces/${this.namespace}/pods`)
    return pods.filter(
      ({ metadata }) => symbol === undefined || metadata?.annotations?.['l2cap.dev/symbol'] === symbol,
    )
  }

  /** The one pod of the symbol. Throws where there are several, or none. */
  async pod(symbol: string): Promise<V1Pod> {
    const pods = await this.pods(symbol)
    const [pod] = pods
    if (pod === undefined || pods.length > 1)
      throw new Error(`${symbol} has ${pods.length} pods: ${pods.map(nameOf).join(', ')}`)
    return pod
  }

  /** Resolves when the symbol has one pod, which is live, and another one than those named. */
  async live(symbol: string, { not = [] as readonly string[], deadlineMs = WITHIN_MS } = {}): Promise<V1Pod> {
    return await waitFor(
      `one live pod of ${symbol}${not.length === 0 ? '' : ` other than ${not.join(', ')}`}`,
      async () => {
        const pods = await this.pods(symbol)
        const [pod] = pods
        return pods.length === 1 && pod !== undefined && isLive(pod) && !not.includes(nameOf(pod))
          ? pod
          : undefined
      },
      { deadlineMs, everyMs: 200, show: () => this.#state() },
    )
  }

  async gone(deadlineMs = WITHIN_MS): Promise<void> {
    await this.none(undefined, deadlineMs)
  }

  /** Resolves when the symbol has no pod, of whatever kind; without a symbol, when there is none at all. */
  async none(symbol?: string, deadlineMs = WITHIN_MS): Promise<void> {
    await waitFor(
      `${symbol === undefined ? 'all pods' : `the pods of ${symbol}`} to be gone`,
      async () => (await this.pods(symbol)).length === 0,
      { deadlineMs, everyMs: 200, show: () => this.#state() },
    )
  }

  /** As `kubectl drain` does: the node takes no more pods, and the pod is evicted through the API. */
  async drain(pod: V1Pod): Promise<void> {
    await this.cluster.api.patch(`/api/v1/nodes/${pod.spec?.nodeName}`, { spec: { unschedulable: true } })
    const { name, namespace } = pod.metadata ?? {}
    await this.cluster.api.create(`/api/v1/namespaces/${namespace}/pods/${name}/eviction`, {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata: { name, namespace },
    })
  }

  /** What the process itself says, at /status. */
  async status(name: string): Promise<Record<string, unknown>> {
    return JSON.parse(await this.ask(name, '/status'))
  }

  /** One of the process's own metrics without labels of its own; undefined where it is not there. */
  async metric(name: string, metric: string): Promise<number | undefined> {
    const line = (await this.ask(name, '/metrics')).split('\n').find((one) => one.startsWith(`${metric}{`))
    return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(' ')))
  }

  async ask(name: string, path: string): Promise<string> {
    const pod = (await this.pods()).find((one) => nameOf(one) === name)
    const signal = AbortSignal.timeout(30_000)
    return await (await fetch(`http://${pod?.status?.podIP}:9090${path}`, { signal })).text()
  }

  /** Resolves when the pod's processes have printed this so many times. */
  async says(name: string, text: string, times = 1): Promise<void> {
    const output = () => this.kubelet.output(name)
    await waitFor(`${name} to say ${text} ${times} times`, () => output().split(text).length > times, {
      deadlineMs: WITHIN_MS,
      show: () => output().slice(-3000),
    })
  }

  /** Events on the capture, as `reason: note`. */
  async events(): Promise<string[]> {
    const events = await this.cluster.api.list<{ reason?: string; note?: string }>(
      `/apis/events.k8s.io/v1/namespaces/${this.namespace}/events`,
    )
    return events.map(({ reason = '', note = '' }) => `${reason}: ${note}`)
  }

  // data

  /** The bucket as files: the store keeps objects as such. */
  get data(): string {
    return join(this.s3.dataDir, BUCKET, PREFIX)
  }

  /** `l2cap verify` finds no problem, and a Python reader finds each event once or outside coverage. */
  async judge(symbol: string): Promise<Summary> {
    const { ok, problems } = await verifyBucket(new LocalBucket(this.data))
    if (!ok) throw new Error(JSON.stringify(problems, null, 1))
    const truth = join(this.dir, `truth-${symbol}.json`)
    const path = await this.#only(symbol)
    const [summary] = await judgeBuckets(this.sim, symbol, truth, [{ path }], { holes: true })
    if (summary === undefined) throw new Error('the oracle said nothing')
    return summary
  }

  /** A copy of what the bucket has of one symbol: the oracle knows one truth at a time. */
  async #only(symbol: string): Promise<string> {
    const copy = join(this.dir, `bucket-${symbol}`)
    await rm(copy, { recursive: true, force: true })
    for (const kind of ['parquet', 'manifest']) {
      const path = join(kind, 'exchange=BinanceUsdm', `symbol=${symbol}`)
      await cp(join(this.data, path), join(copy, path), { recursive: true })
    }
    return copy
  }

  async #state(name?: string): Promise<unknown> {
    const pods = await this.pods()
    return {
      status: name === undefined ? undefined : (await this.capture(name))?.status,
      pods: pods.map((pod) => ({
        name: nameOf(pod),
        annotations: pod.metadata?.annotations,
        deleted: pod.metadata?.deletionTimestamp,
        phase: pod.status?.phase,
        live: isLive(pod),
        container: pod.status?.containerStatuses?.[0],
        output: this.kubelet.output(nameOf(pod)).slice(-1500),
      })),
      operator: this.operators.at(-1)?.output.slice(-4000),
    }
  }

  async #close(): Promise<void> {
    for (const operator of this.operators) if (!operator.hasEnded) await operator.kill()
    await this.kubelet.stop()
    await this.sim.stop()
    this.#s3?.remove()
    await rm(this.dir, { recursive: true, force: true })
  }
}

export function nameOf(pod: V1Pod): string {
  return pod.metadata?.name ?? ''
}

export function isLive(pod: V1Pod): boolean {
  const ready = pod.status?.conditions?.find(({ type }) => type === 'Ready')
  return ready?.status === 'True' && pod.metadata?.deletionTimestamp === undefined
}

async function createSecret(api: ApiClient, namespace: string, s3: S3Server): Promise<void> {
  await api.create(`/api/v1/namespaces/${namespace}/secrets`, {
    metadata: { name: SECRET },
    stringData: { AWS_ACCESS_KEY_ID: s3.accessKey, AWS_SECRET_ACCESS_KEY: s3.secretKey },
  })
}
