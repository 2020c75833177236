/**
 * One test's part of a cluster: a namespace under "restricted", the world as a pod, the operator by `helm install`,
 * and the captures that the test applies.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { V1Lease, V1Pod } from '@kubernetes/client-node'
import { z } from 'zod'
import type { CoverageDay } from '../../capture/verify/mod.ts'
import type { TestContext } from '../cluster/mod.ts'
import { Captures, nameOf, type Spec } from '../e2e/captures.ts'
import { judgeAlone, verified } from '../e2e/judged.ts'
import type { Stored } from '../e2e/published.ts'
import { type Administered, settingsOf } from '../e2e/settings.ts'
import type { Summary } from '../support/judge.ts'
import { waitFor } from '../support/wait.ts'
import { IMAGES } from './images.ts'
import { call, openTarget, type Target } from './target.ts'
import { BUCKET } from './world/contract.ts'
import { World } from './world.ts'

const CHART = resolve(import.meta.dirname, '../../charts/l2cap')
const RELEASE = 'l2cap'
const PREFIX = 'l2'
const SECRET = 'l2cap-s3'
const RESTRICTED = { 'pod-security.kubernetes.io/enforce': 'restricted' }
const INSTALLED_WITHIN_S = 300
const OPERATORS = 'labelSelector=app.kubernetes.io%2Fcomponent%3Doperator'
export const OPERATOR_PORT = 8080
/** Who leads goes on leading while the machine stands still for 10 s: what it counts begins anew with another one. */
const LEASE_SECONDS = 30
/** No feed looks silent meanwhile, either. */
export const CALM = { staleAfterSeconds: 30 }
/** A copy of the bucket is read within this time, of a machine that stands still now and then. */
const BUCKET_KEPT_MS = 300_000

export interface SceneOptions {
  readonly symbols?: readonly string[]
  /** Rate of the book's changes, seed and so on. */
  readonly market?: object
  readonly settings?: Administered | undefined
  /** The node of exchange and store. */
  readonly worldNode?: string
  /** Further values of the chart. */
  readonly values?: { readonly operator?: object; readonly [part: string]: unknown }
  /** The directory of the chart: an older one than this project's. */
  readonly chart?: string
  /** False: the test installs the chart itself. */
  readonly install?: boolean
}

const Waiting = z.looseObject({ spool: z.looseObject({ windowsWaiting: z.number() }) })

interface Parts {
  readonly target: Target
  readonly namespace: string
  readonly dir: string
  readonly world: World
}

export class ClusterScene extends Captures implements Stored {
  readonly target: Target
  readonly world: World
  readonly dir: string
  #fetches = 0
  #fetched: { readonly dir: string; readonly atMs: number }[] = []

  private constructor({ target, namespace, dir, world }: Parts) {
    super(target.api, namespace)
    this.target = target
    this.world = world
    this.dir = dir
  }

  /** Resolves when the operator's replicas are ready. All of it goes with the test. */
  static async open(context: TestContext, options: SceneOptions = {}): Promise<ClusterScene> {
    const target = await openTarget()
    const namespace = `l2cap-${randomBytes(4).toString('hex')}`
    await target.api.create('/api/v1/namespaces', { metadata: { name: namespace, labels: RESTRICTED } })
    const dir = await mkdtemp(join(tmpdir(), 'l2cap-cluster-'))
    context.after(() => close(target, namespace, dir))
    await waitFor(`the default service account of ${namespace}`, () =>
      target.api.exists(`/api/v1/namespaces/${namespace}/serviceaccounts/default`),
    )
    const symbols = options.symbols ?? ['BTCUSDT', 'ETHUSDT']
    const market = { seed: 1, symbols, ...options.market }
    const world = await World.start(target.api, namespace, { market, node: options.worldNode })
    await target.api.create(`/api/v1/namespaces/${namespace}/secrets`, {
      metadata: { name: SECRET },
      stringData: { AWS_ACCESS_KEY_ID: world.accessKey, AWS_SECRET_ACCESS_KEY: world.secretKey },
    })
    const scene = new ClusterScene({ target, namespace, dir, world })
    if (options.install !== false) await scene.install(options)
    return scene
  }

  /** `helm upgrade --install` with the values of tests. */
  async install({ settings, values = {}, chart = CHART }: SceneOptions = {}): Promise<void> {
    const path = join(this.dir, 'values.json')
    const [repository, tag] = IMAGES.product.split(':')
    const { image: _, ...administered } = settingsOf(this.world.exchange, settings) as { image: string }
    const own = {
      image: { repository, tag, pullPolicy: 'IfNotPresent' },
      // one definition for all tests, which belongs to none of their releases
      crds: { install: false },
      settings: administered,
      ...values,
      operator: { leaseSeconds: LEASE_SECONDS, ...values.operator },
    }
    await writeFile(path, JSON.stringify(own))
    const wait = ['--wait', `--timeout=${INSTALLED_WITHIN_S}s`]
    await this.helm('upgrade', '--install', RELEASE, chart, `--values=${path}`, ...wait)
  }

  async kubectl(...args: readonly string[]): Promise<string> {
    return await call(this.target, 'kubectl', '--namespace', this.namespace, ...args)
  }

  async helm(...args: readonly string[]): Promise<string> {
    return await call(this.target, 'helm', '--namespace', this.namespace, ...args)
  }

  override defaultSpec(): Spec {
    const endpoint = this.world.store
    return {
      exchange: 'BinanceUsdm',
      symbols: ['BTCUSDT'],
      rotationSeconds: 10,
      guards: CALM,
      storage: { s3: { bucket: BUCKET, prefix: PREFIX, endpoint, credentialsSecretName: SECRET } },
    }
  }

  /** Each call has a directory of its own, as tests run side by side; one goes when it has long been read. */
  async bucket(part?: 'manifest'): Promise<string> {
    const dir = join(this.dir, `bucket-${++this.#fetches}`)
    const old = this.#fetched.filter(({ atMs }) => atMs < performance.now() - BUCKET_KEPT_MS)
    this.#fetched = this.#fetched.filter((one) => !old.includes(one))
    for (const one of old) await rm(one.dir, { recursive: true, force: true })
    const bucket = await this.world.fetchBucket(dir, part === undefined ? '' : join(PREFIX, part))
    this.#fetched.push({ dir, atMs: performance.now() })
    return join(bucket, PREFIX)
  }

  /** `query`: `previous=true` for what the container said before its last restart. */
  override async outputOf(pod: string, query = ''): Promise<string> {
    const path = `/api/v1/namespaces/${this.namespace}/pods/${pod}/log?${query}`
    // a pod that is gone, or not there yet, has said nothing
    return await this.api.send<string>('GET', path).catch((error: unknown) => String(error))
  }

  /** What the process of a pod says at this path of its port; by way of the API server. */
  async ask<T>(pod: string, path: string, port = 9090): Promise<T> {
    return await this.api.send<T>(
      'GET',
      `/api/v1/namespaces/${this.namespace}/pods/${pod}:${port}/proxy${path}`,
    )
  }

  override async status(pod: string): Promise<Record<string, unknown>> {
    return await this.ask(pod, '/status')
  }

  /** The pod of the operator that leads; empty while nobody does. */
  async leader(): Promise<string> {
    const path = `/apis/coordination.k8s.io/v1/namespaces/${this.namespace}/leases/${RELEASE}-operator`
    const holder = (await this.api.get<V1Lease>(path)).spec?.holderIdentity ?? ''
    const replicas = (await this.operators()).map(nameOf)
    return replicas.find((name) => holder.startsWith(name)) ?? ''
  }

  /** The pods of the operator that are not about to go. */
  async operators(): Promise<V1Pod[]> {
    const pods = await this.api.list<V1Pod>(`/api/v1/namespaces/${this.namespace}/pods?${OPERATORS}`)
    return pods.filter(({ metadata }) => metadata?.deletionTimestamp === undefined)
  }

  override async operatorOutput(): Promise<string> {
    return await this.outputOf(await this.leader())
  }

  override async operatorMetrics(): Promise<string> {
    return await this.ask(await this.leader(), '/metrics', OPERATOR_PORT)
  }

  /** Resolves when so many closed windows wait in the spool of the pod. */
  async waiting(pod: string, windows: number): Promise<void> {
    await waitFor(
      `${windows} windows of ${pod} to wait`,
      async () => Waiting.parse(await this.ask(pod, '/status')).spool.windowsWaiting >= windows,
      { deadlineMs: 240_000, everyMs: 300, show: () => this.outputOf(pod) },
    )
  }

  /** The directory of a pod's volume, on this machine. */
  volume(pod: V1Pod, name: string): string {
    const { nodes } = this.target
    if (nodes === undefined) throw new Error(`${nameOf(pod)} runs elsewhere`)
    return nodes.volume(pod, name)
  }

  async judge(symbol: string): Promise<Summary> {
    const bucket = await this.bucket()
    await verified(bucket)
    return await this.judgeIn(bucket, symbol)
  }

  async coverage(): Promise<readonly CoverageDay[]> {
    return await verified(await this.bucket())
  }

  /** The same where nothing in the bucket changes any more: it is fetched and verified once. */
  async settled(): Promise<Stored> {
    const bucket = join(await this.world.fetchBucket(join(this.dir, 'bucket-settled')), PREFIX)
    const coverage = await verified(bucket)
    return {
      bucket: async () => bucket,
      coverage: async () => coverage,
      judge: (symbol) => this.judgeIn(bucket, symbol),
      outputOf: (pod) => this.outputOf(pod),
    }
  }

  /** The same for a bucket that was fetched and verified before, of which other symbols are judged too. */
  async judgeIn(bucket: string, symbol: string): Promise<Summary> {
    return await judgeAlone(bucket, symbol, await this.world.truth(symbol), this.dir)
  }

  /** The first process of a pod's container, on this machine. */
  async processOf({ metadata, status }: V1Pod): Promise<number> {
    const id = status?.containerStatuses?.[0]?.containerID
    const { nodes } = this.target
    if (nodes === undefined || id === undefined) throw new Error(`${metadata?.name} has no process here`)
    return await nodes.pidOf(id)
  }

  /** `l2cap verify s3://…` as a pod of the product's image. Resolves with what it says; throws where it finds fault. */
  async verify(): Promise<string> {
    const name = `verify-${randomBytes(3).toString('hex')}`
    await this.api.create(`/api/v1/namespaces/${this.namespace}/pods`, this.#verifier(name))
    const pod = await waitFor(
      `${name} to end`,
      async () => {
        const one = await this.api.get<V1Pod>(`/api/v1/namespaces/${this.namespace}/pods/${name}`)
        return ['Succeeded', 'Failed'].includes(one.status?.phase ?? '') ? one : undefined
      },
      { deadlineMs: 240_000, everyMs: 200, show: () => this.outputOf(name) },
    )
    const said = await this.outputOf(name)
    await this.api.delete(`/api/v1/namespaces/${this.namespace}/pods/${name}`)
    if (pod.status?.phase !== 'Succeeded') throw new Error(`l2cap verify failed:\n${said}`)
    return said
  }

  override async pods(symbol?: string): Promise<V1Pod[]> {
    const all = await super.pods(symbol)
    return all.filter(({ metadata }) => metadata?.annotations?.['l2cap.dev/symbol'] !== undefined)
  }

  override async state(name?: string): Promise<unknown> {
    const pods = await this.pods()
    return {
      status: name === undefined ? undefined : (await this.capture(name))?.status,
      pods: await Promise.all(
        pods.map(async (pod) => ({
          name: nameOf(pod),
          node: pod.spec?.nodeName,
          deleted: pod.metadata?.deletionTimestamp,
          phase: pod.status?.phase,
          conditions: pod.status?.conditions?.map(({ type, status }) => `${type}=${status}`).join(' '),
          container: pod.status?.containerStatuses?.[0]?.state,
          output: (await this.outputOf(nameOf(pod))).slice(-1500),
        })),
      ),
      operator: (
        await this.kubectl('logs', `deployment/${RELEASE}-operator`, '--tail=20').catch(String)
      ).slice(-4000),
    }
  }

  #verifier(name: string): object {
    const security = { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true }
    return {
      metadata: { name },
      spec: {
        restartPolicy: 'Never',
        automountServiceAccountToken: false,
        securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
        containers: [
          {
            name: 'verify',
            image: IMAGES.product,
            imagePullPolicy: 'IfNotPresent',
            command: ['node', '/app/cli.js', 'verify', `s3://${BUCKET}/${PREFIX}`],
            args: ['--s3-endpoint', this.world.store],
            envFrom: [{ secretRef: { name: SECRET } }],
            resources: { requests: { cpu: '250m' } },
            securityContext: { ...security, capabilities: { drop: ['ALL'] } },
          },
        ],
      },
    }
  }
}

/** Captures first: their spools are not waited for, and nobody is left to confirm on a node that is broken. */
async function close(target: Target, namespace: string, dir: string): Promise<void> {
  await target.api.delete(`/api/v1/namespaces/${namespace}/pods?gracePeriodSeconds=0`)
  await target.api.delete(`/api/v1/namespaces/${namespace}`)
  await rm(dir, { recursive: true, force: true })
}
