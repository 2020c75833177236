/**
 * A control plane of the tests' own on 127.0.0.1: etcd, kube-apiserver and kube-controller-manager, real ones.
 * RBAC is on, everybody comes with a bearer token, and what was asked is logged. Its processes die with the one
 * that started them.
 */
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Certificates, makeCertificates } from '../s3/certificates.ts'
import { listensOn, randomPort } from '../s3/ports.ts'
import { kubeconfigOf, writeSigningKey } from './access.ts'
import {
  AUDIT_POLICY,
  apiServerArguments,
  controllerArguments,
  etcdArguments,
  FILES,
  type Layout,
} from './arguments.ts'
import { Child } from './child.ts'
import { ApiClient } from './client.ts'
import { Cluster } from './cluster.ts'
import { applyDefinitions, definitionsServed } from './definitions.ts'
import { programPath, programsProblem } from './programs.ts'

const READY_WITHIN_MS = 180_000
/** A random port may be taken. */
const PORTS_TRIED_MAX = 5
/** A test, its nodes or the API server may stall for some seconds, and nothing is lost. */
const NODE_GRACE_SECONDS = 20

export interface ControlPlaneOptions {
  /**
   * Without them nothing is collected, no namespace goes, and no pod is evicted from a lost node. Default true.
   */
  readonly controllers?: boolean
  /** Apply crds/ before the controllers start. Default true. */
  readonly definitions?: boolean
  /** From a node's last sign of life to its pods' eviction, less their tolerations. */
  readonly nodeGraceSeconds?: number
  /** Where a server may listen; asked again where that is taken. Default: anywhere. */
  readonly choosePort?: () => number
}

/**
 * Starts one, in about four seconds. Throws where it is not built or not ready in time, with the end of a log.
 */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const problem = programsProblem()
  if (problem !== '') throw new Error(problem)
  const dir = mkdtempSync(join(tmpdir(), 'l2cap-cluster-'))
  const children = new Children(dir)
  try {
    const made = makeFiles(dir, options)
    const layout = await firstStart(children, made, options.choosePort ?? randomPort)
    const plane = new ControlPlane(children, layout, made)
    if (options.definitions !== false) await applyDefinitions(plane.api)
    // only now: a kind that the collector meets late is collected up to 40 s later
    if (options.controllers !== false) await plane.startControllers()
    return plane
  } catch (error) {
    children.kill()
    rmSync(dir, { recursive: true, force: true, maxRetries: 5 })
    throw error
  }
}

/** One of the test's own, gone again with it. */
export async function ownControlPlane(
  context: { after(work: () => Promise<void>): void },
  options: ControlPlaneOptions = {},
): Promise<ControlPlane> {
  const plane = await startControlPlane(options)
  context.after(() => plane.stop())
  return plane
}

export class ControlPlane extends Cluster {
  readonly adminToken: string
  readonly etcd: string
  readonly #children: Children
  readonly #layout: Layout

  constructor(children: Children, layout: Layout, { certificates, adminToken }: Made) {
    const { dir, ports } = layout
    const address = { server: `https://127.0.0.1:${ports.api}`, ca: certificates.ca, token: adminToken }
    super({
      api: new ApiClient(address),
      dir,
      auditPath: join(dir, FILES.audit),
      tls: {
        cert: readFileSync(certificates.certPath, 'utf8'),
        key: readFileSync(certificates.keyPath, 'utf8'),
        ca: certificates.ca,
      },
    })
    this.adminToken = adminToken
    this.etcd = `http://127.0.0.1:${ports.etcd}`
    this.#children = children
    this.#layout = layout
    writeFileSync(join(dir, FILES.adminKubeconfig), kubeconfigOf(address), { mode: 0o600 })
  }

  /** The path of a kubeconfig of cluster-admin. */
  get adminKubeconfig(): string {
    return join(this.#layout.dir, FILES.adminKubeconfig)
  }

  get apiServerPid(): number {
    return this.#children.apiServer.pid
  }

  /** The ends of the logs, for a failure's text. */
  logs(charsMax = 2000): string {
    return this.#children.logs(charsMax)
  }

  async startControllers(): Promise<void> {
    const { ca } = this
    const token = readTokens(this.#layout.dir)['system:kube-controller-manager']
    const kubeconfig = kubeconfigOf({ server: this.server, ca, token })
    writeFileSync(join(this.#layout.dir, FILES.controllersKubeconfig), kubeconfig, { mode: 0o600 })
    const account = '/api/v1/namespaces/default/serviceaccounts/default'
    await this.#children.start('controllers', controllerArguments(this.#layout), async () => {
      return await this.api.exists(account).catch(() => false) // away for a moment: asked again
    })
  }

  /** Kills the API server: connections break. Its port stays its own. */
  async kill(): Promise<void> {
    await this.#children.apiServer.end('SIGKILL')
  }

  /** Starts the API server again, and resolves when it serves custom resources as well. */
  async start(): Promise<void> {
    await startApiServer(this.#children, this.#layout)
    await definitionsServed(this.api)
  }

  /** The API server anew; in order it takes up to 10 s while watches are open. Its watch cache starts empty. */
  async restart({ kill = false }: { readonly kill?: boolean } = {}): Promise<void> {
    await this.#children.apiServer.end(kill ? 'SIGKILL' : 'SIGTERM', 15_000)
    await this.start()
  }

  /** From now on the API server answers nothing; the kernel still takes connections. */
  pause(): void {
    this.#children.apiServer.signal('SIGSTOP')
  }

  resume(): void {
    this.#children.apiServer.signal('SIGCONT')
  }

  /**
   * etcd forgets all that is older than now. The API server still answers from its memory: only after `restart`
   * do old versions and continue tokens get 410.
   */
  async compact(): Promise<string> {
    const { metadata } = await this.api.get<{ metadata: { resourceVersion: string } }>(
      '/api/v1/namespaces?limit=1',
    )
    const revision = metadata.resourceVersion
    const reply = await fetch(`${this.etcd}/v3/kv/compaction`, {
      method: 'POST',
      body: JSON.stringify({ revision, physical: true }),
    })
    if (!reply.ok) throw new Error(`etcd did not compact: ${reply.status} ${await reply.text()}`)
    return revision
  }

  /** Ends all of it and removes its data. */
  async stop(): Promise<void> {
    await this.api.close()
    this.remove()
  }

  /** The same for the end of a process, which waits for nothing. */
  remove(): void {
    this.#children.kill()
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5 })
  }
}

interface Made {
  readonly dir: string
  readonly certificates: Certificates
  readonly adminToken: string
  readonly nodeGraceSeconds: number
}

class Children {
  readonly etcd: Child
  readonly apiServer: Child
  readonly controllers: Child

  constructor(dir: string) {
    this.etcd = new Child('etcd', join(dir, 'etcd.log'))
    this.apiServer = new Child('kube-apiserver', join(dir, 'kube-apiserver.log'))
    this.controllers = new Child('kube-controller-manager', join(dir, 'kube-controller-manager.log'))
  }

  get #all(): readonly Child[] {
    return [this.controllers, this.apiServer, this.etcd]
  }

  /** Starts the one that must start; throws where it ends instead. */
  async start(which: 'apiServer' | 'controllers', args: readonly string[], ready: () => Promise<boolean>) {
    const child = this[which]
    const binary = programPath(which === 'apiServer' ? 'kube-apiserver' : 'kube-controller-manager')
    if (await child.start(binary, args, ready, READY_WITHIN_MS)) return
    throw new Error(`${child.name} ended at its start:\n${child.log.slice(-2000)}`)
  }

  kill(): void {
    for (const child of this.#all) child.killNow()
  }

  async end(): Promise<void> {
    for (const child of this.#all) await child.end('SIGKILL')
  }

  logs(charsMax: number): string {
    return this.#all.map(({ name, log }) => `--- ${name}\n${log.slice(-charsMax)}`).join('\n')
  }
}

/** Certificates, keys, tokens and the policy of the log. */
function makeFiles(dir: string, options: ControlPlaneOptions): Made {
  mkdirSync(join(dir, 'certificates'))
  const certificates = makeCertificates(join(dir, 'certificates'))
  writeSigningKey(dir, FILES.signingKey, FILES.verifyingKey)
  writeFileSync(join(dir, FILES.auditPolicy), AUDIT_POLICY)
  const adminToken = randomBytes(24).toString('hex')
  const lines = [
    `${adminToken},admin,admin,"system:masters"`,
    `${randomBytes(24).toString('hex')},system:kube-controller-manager,controllers`,
  ]
  writeFileSync(join(dir, FILES.tokens), `${lines.join('\n')}\n`, { mode: 0o600 })
  return { dir, certificates, adminToken, nodeGraceSeconds: options.nodeGraceSeconds ?? NODE_GRACE_SECONDS }
}

function readTokens(dir: string): Readonly<Record<string, string>> {
  const lines = readFileSync(join(dir, FILES.tokens), 'utf8').trim().split('\n')
  return Object.fromEntries(
    lines.map((line) => line.split(',')).map(([token = '', user = '']) => [user, token]),
  )
}

/** etcd and the API server, on ports that were free. */
async function firstStart(children: Children, made: Made, choosePort: () => number): Promise<Layout> {
  for (let tries = 1; ; tries++) {
    const ports = { etcd: choosePort(), peer: choosePort(), api: choosePort() }
    const layout: Layout = { ...made, ports }
    try {
      await startEtcd(children, layout)
      await startApiServer(children, layout)
      return layout
    } catch (error) {
      if (tries === PORTS_TRIED_MAX || !/address already in use/.test(children.logs(4000))) throw error
      await children.end()
      rmSync(join(made.dir, 'etcd'), { recursive: true, force: true })
    }
  }
}

async function startEtcd({ etcd }: Children, layout: Layout): Promise<void> {
  const { ports } = layout
  const healthy = async () =>
    listensOn(etcd.pid, ports.etcd) && (await answers(`http://127.0.0.1:${ports.etcd}/health`))
  if (await etcd.start(programPath('etcd'), etcdArguments(layout), healthy, READY_WITHIN_MS)) return
  throw new Error(`etcd ended at its start:\n${etcd.log.slice(-2000)}`)
}

async function startApiServer(children: Children, layout: Layout): Promise<void> {
  const { ports, dir } = layout
  const token = Object.entries(readTokens(dir)).find(([user]) => user === 'admin')?.[1]
  const ca = readFileSync(layout.certificates.caPath, 'utf8')
  const client = new ApiClient({ server: `https://127.0.0.1:${ports.api}`, ca, token })
  try {
    await children.start('apiServer', apiServerArguments(layout), async () => {
      if (!listensOn(children.apiServer.pid, ports.api)) return false
      // not yet: asked again, until it is too late
      return await client.get('/readyz').then(
        () => true,
        () => false,
      )
    })
  } finally {
    await client.close()
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).ok
  } catch {
    return false // not yet: asked again, until it is too late
  }
}
