/** The pod of exchange and store, as a test has it; asked by way of the API server, which reaches every pod. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { V1Pod } from '@kubernetes/client-node'
import type { ApiClient } from '../cluster/mod.ts'
import { waitFor } from '../support/wait.ts'
import { IMAGES } from './images.ts'
import { BUCKET, DATA_DIR, PORTS, WORLD_ENV, type WorldOptions } from './world/contract.ts'

const run = promisify(execFile)
const NAME = 'world'
const READY_WITHIN_MS = 240_000

export interface WorldSettings {
  readonly market: WorldOptions['market']
  /** Where it runs: a node that the test leaves alone. Anywhere by default. */
  readonly node?: string | undefined
}

export class World {
  readonly accessKey = `test${randomBytes(8).toString('hex')}`
  readonly secretKey = randomBytes(20).toString('hex')
  readonly #api: ApiClient
  readonly #namespace: string
  #address = ''

  private constructor(api: ApiClient, namespace: string) {
    this.#api = api
    this.#namespace = namespace
  }

  /** Resolves when exchange and store are there. It ends with the namespace. */
  static async start(api: ApiClient, namespace: string, settings: WorldSettings): Promise<World> {
    const world = new World(api, namespace)
    await api.create(`/api/v1/namespaces/${namespace}/pods`, world.#pod(settings))
    await waitFor('the pod of exchange and store', () => world.#ready(), {
      deadlineMs: READY_WITHIN_MS,
      everyMs: 200,
      show: () => api.get(`${world.#path}`),
    })
    return world
  }

  get exchange(): string {
    return `http://${this.#address}:${PORTS.exchange}`
  }

  get store(): string {
    return `http://${this.#address}:${PORTS.s3}`
  }

  /** Fires faults of the exchange now: `crossed:BTCUSDT@0`. */
  async inject(faults: string): Promise<void> {
    await this.#ask('POST', `inject?faults=${encodeURIComponent(faults)}`)
  }

  /** Ends faults of this symbol before their time. */
  async lift(symbol: string): Promise<void> {
    await this.#ask('POST', `lift?symbol=${symbol}`)
  }

  /** The exchange tells pods whose address begins so a clock that is this far ahead of the machine's. */
  async skew(addresses: string, ms: number): Promise<void> {
    await this.#ask('POST', `skew?addresses=${addresses}&ms=${ms}`)
  }

  /** Rules of the exchange that captures broke, by how often. */
  async violations(): Promise<Record<string, number>> {
    return await this.#ask('GET', 'violations')
  }

  async killStore(): Promise<void> {
    await this.#ask('POST', 'store/kill')
  }

  async startStore(): Promise<void> {
    await this.#ask('POST', 'store/start')
  }

  /** All that was emitted of the symbol until now, as the oracle reads it. */
  async truth(symbol: string): Promise<object> {
    return await this.#ask<object>('GET', `truth?symbol=${symbol}`)
  }

  /** Puts what the bucket holds now, or what lies below one path of it, into a new directory, and returns where. */
  async fetchBucket(dir: string, below = ''): Promise<string> {
    const archive = `${dir}.tar`
    const reply = await this.#api.raw('GET', `${this.#proxy}/bucket?below=${encodeURIComponent(below)}`)
    const bytes = Buffer.from(await reply.body.arrayBuffer())
    if (reply.statusCode !== 200) throw new Error(`no bucket: ${reply.statusCode} ${bytes}`)
    await writeFile(archive, bytes)
    await mkdir(dir, { recursive: true })
    await run('tar', ['--extract', `--file=${archive}`, '--directory', dir])
    await rm(archive)
    return join(dir, BUCKET)
  }

  async #ready(): Promise<boolean> {
    const { status } = await this.#api.get<V1Pod>(this.#path)
    if (status?.podIP === undefined) return false
    this.#address = status.podIP
    return (await this.#ask<string>('GET', 'ready')) === 'ok'
  }

  async #ask<T>(method: string, path: string): Promise<T> {
    return await this.#api.send<T>(method, `${this.#proxy}/${path}`)
  }

  get #path(): string {
    return `/api/v1/namespaces/${this.#namespace}/pods/${NAME}`
  }

  get #proxy(): string {
    return `/api/v1/namespaces/${this.#namespace}/pods/${NAME}:${PORTS.control}/proxy`
  }

  #pod({ market, node }: WorldSettings): object {
    const options: WorldOptions = { market, accessKey: this.accessKey, secretKey: this.secretKey }
    return {
      metadata: { name: NAME },
      spec: {
        ...(node === undefined ? {} : { nodeName: node }),
        automountServiceAccountToken: false,
        enableServiceLinks: false,
        terminationGracePeriodSeconds: 1,
        securityContext: {
          ...{ runAsNonRoot: true, runAsUser: 1000, fsGroup: 1000 },
          seccompProfile: { type: 'RuntimeDefault' },
        },
        containers: [
          {
            name: NAME,
            image: IMAGES.world,
            imagePullPolicy: 'IfNotPresent',
            // without a share of its own it stands still while others work, and every feed is silent
            resources: { requests: { cpu: '500m' } },
            env: [{ name: WORLD_ENV, value: JSON.stringify(options) }],
            securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
            volumeMounts: [{ name: 'data', mountPath: DATA_DIR }],
          },
        ],
        volumes: [{ name: 'data', emptyDir: {} }],
      },
    }
  }
}
