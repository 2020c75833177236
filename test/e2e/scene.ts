/**
 * What the end-to-end tests share: a namespace on a real API server, an operator process with exactly the rights that
 * the chart ships, the stand-in kubelet with real captures, a simulated exchange, and a real S3 server.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CoverageDay } from '../../capture/verify/mod.ts'
import { type KubeletTimes, ProcessRuntime, type Runtime, StandInKubelet } from '../cluster/kubelet/mod.ts'
import type { ApiClient, Cluster, TestContext } from '../cluster/mod.ts'
import { openCluster } from '../cluster/mod.ts'
import { type S3Server, startS3 } from '../s3/server.ts'
import { type MarketSimOptions, type Sim, startSim } from '../sim/mod.ts'
import type { Summary } from '../support/judge.ts'
import { truthOf } from '../support/truth.ts'
import { waitFor } from '../support/wait.ts'
import { CALM, Captures, isLive, nameOf, type Spec, WITHIN_MS } from './captures.ts'
import { judgeSymbol, verified } from './judged.ts'
import { OperatorProcess } from './operator-process.ts'
import type { Stored } from './published.ts'
import { leaseRules, operatorRules } from './rules.ts'
import { type Administered, IMAGE, settingsOf } from './settings.ts'

export { CALM, isLive, nameOf, type Spec } from './captures.ts'

export const BUCKET = 'market-data'
export const PREFIX = 'l2'
export const SECRET = 'l2cap-s3'

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

export class Scene extends Captures implements Stored {
  readonly cluster: Cluster
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
    super(parts.cluster.api, parts.namespace)
    this.cluster = parts.cluster
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

  defaultSpec(): Spec {
    const endpoint = this.#s3 === undefined ? 'http://127.0.0.1:9' : this.s3.endpoint
    return {
      exchange: 'BinanceUsdm',
      symbols: ['BTCUSDT'],
      rotationSeconds: 10,
      guards: CALM,
      storage: { s3: { bucket: BUCKET, prefix: PREFIX, endpoint, credentialsSecretName: SECRET } },
    }
  }

  override async status(name: string): Promise<Record<string, unknown>> {
    return JSON.parse(await this.ask(name, '/status'))
  }

  /** One of the process's own metrics without labels of its own; undefined where it is not there. */
  async metric(name: string, metric: string): Promise<number | undefined> {
    const line = (await this.ask(name, '/metrics')).split('\n').find((one) => one.startsWith(`${metric}{`))
    return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(' ')))
  }

  async ask(name: string, path: string): Promise<string> {
    const pod = (await this.pods()).find((one) => nameOf(one) === name)
    const signal = AbortSignal.timeout(60_000)
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

  // data

  /** The bucket as files: the store keeps objects as such. */
  get data(): string {
    return join(this.s3.dataDir, BUCKET, PREFIX)
  }

  async bucket(): Promise<string> {
    return this.data
  }

  override outputOf(pod: string): string {
    return this.kubelet.output(pod)
  }

  override operatorOutput(): string {
    return this.operator.output
  }

  override async operatorMetrics(): Promise<string> {
    return await this.operator.metrics()
  }

  /** `l2cap verify` finds no problem, and a Python reader finds each event once or outside coverage. */
  async judge(symbol: string): Promise<Summary> {
    return await judgeSymbol(this.data, symbol, truthOf(this.sim, symbol), this.dir)
  }

  async coverage(): Promise<readonly CoverageDay[]> {
    return await verified(this.data)
  }

  override async state(name?: string): Promise<unknown> {
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
    // what was killed may still be writing its last
    await rm(this.dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 })
  }
}

async function createSecret(api: ApiClient, namespace: string, s3: S3Server): Promise<void> {
  await api.create(`/api/v1/namespaces/${namespace}/secrets`, {
    metadata: { name: SECRET },
    stringData: { AWS_ACCESS_KEY_ID: s3.accessKey, AWS_SECRET_ACCESS_KEY: s3.secretKey },
  })
}
