/**
 * A real S3 server on 127.0.0.1 for tests: started, paused, killed and started again on the same data and port.
 * Its credentials are random. The process dies with the one that started it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as moment } from 'node:timers/promises'
import { CreateBucketCommand, ListBucketsCommand, type S3Client } from '@aws-sdk/client-s3'
import { DIES_WITH_US } from '../support/children.ts'
import { type ServerKind, s3Problem, serverBinary, serverKind } from './binary.ts'
import { type Certificates, makeCertificates } from './certificates.ts'
import { makeClient } from './client.ts'
import { type Launch, launchOf } from './launch.ts'
import { listensOn, randomPort } from './ports.ts'

export { type ServerKind, s3Problem } from './binary.ts'

const READY_WITHIN_MS = 120_000
const ENDS_WITHIN_MS = 60_000
const POLL_MS = 25
/** A random port may be taken. */
const PORTS_TRIED_MAX = 5
/** What both servers call the only place they know. */
const REGION = 'us-east-1'

export interface S3ServerOptions {
  /** Default: the one that the suite runs against. */
  readonly server?: ServerKind
  /** Speaks TLS, with a certificate of an authority that only this test knows. */
  readonly tls?: boolean
  /** Where its data goes, with everything else of it; a directory of its own by default. It is made. */
  readonly dir?: string
  /** Default: a random free one. */
  readonly port?: number
}

/** Starts one. Throws where it is not built, or does not get ready, with the end of its log. */
export async function startS3(options: S3ServerOptions = {}): Promise<S3Server> {
  const kind = options.server ?? serverKind()
  const problem = s3Problem(kind)
  if (problem !== '') throw new Error(problem)
  const server = new S3Server(kind, options)
  try {
    await server.start()
  } catch (error) {
    server.remove()
    throw error
  }
  return server
}

export class S3Server {
  readonly kind: ServerKind
  readonly region = REGION
  readonly accessKey = `test${randomBytes(8).toString('hex')}`
  readonly secretKey = randomBytes(20).toString('hex')
  readonly dir: string
  /** Objects lie here; as plain files below a directory for each bucket where the server is versitygw. */
  readonly dataDir: string
  readonly #tls: Certificates | undefined
  readonly #fixedPort: boolean
  #port: number
  #child: ChildProcess | undefined
  readonly #clients: S3Client[] = []

  constructor(kind: ServerKind, { dir, port, tls = false }: S3ServerOptions) {
    this.kind = kind
    this.dir = dir ?? mkdtempSync(join(tmpdir(), `l2cap-s3-${kind}-`))
    this.dataDir = join(this.dir, 'data')
    for (const name of ['data', 'iam', 'home', 'certificates'])
      mkdirSync(join(this.dir, name), { recursive: true })
    this.#tls = tls ? makeCertificates(join(this.dir, 'certificates')) : undefined
    this.#fixedPort = port !== undefined
    this.#port = port ?? 0
  }

  get port(): number {
    return this.#port
  }

  get endpoint(): string {
    return `${this.#tls === undefined ? 'http' : 'https'}://127.0.0.1:${this.#port}`
  }

  /** The authority behind its certificate, PEM; undefined without TLS. */
  get ca(): string | undefined {
    return this.#tls?.ca
  }

  get caPath(): string | undefined {
    return this.#tls?.caPath
  }

  /** Throws where it does not run. */
  get pid(): number {
    const pid = this.#child?.pid
    if (pid === undefined) throw new Error(`the S3 server of ${this.dir} does not run`)
    return pid
  }

  get isRunning(): boolean {
    return this.#child !== undefined
  }

  get log(): string {
    return readFileSync(join(this.dir, 'log'), 'utf8')
  }

  /** Starts it, again on the same data and port where it ran before. Resolves when it answers. */
  async start(): Promise<void> {
    if (this.#child !== undefined) throw new Error(`the S3 server of ${this.dir} runs already`)
    const ran = this.#port !== 0
    for (let tries = 1; ; tries++) {
      if (!ran && !this.#fixedPort) this.#port = randomPort()
      if (await this.#tryStart()) return
      if (ran || this.#fixedPort || tries === PORTS_TRIED_MAX) {
        throw new Error(`${this.kind} did not get ready on ${this.endpoint}:\n${this.log.slice(-2000)}`)
      }
    }
  }

  /** Ends it in order. Its data stays; `start` goes on with it. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM')
  }

  /** Ends it at once, in the middle of whatever it does. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** From now on it answers nothing; connections are still taken, by the kernel. */
  pause(): void {
    process.kill(this.pid, 'SIGSTOP')
  }

  resume(): void {
    process.kill(this.pid, 'SIGCONT')
  }

  /** Kills it and removes all that it wrote. */
  remove(): void {
    for (const client of this.#clients) client.destroy()
    this.#child?.kill('SIGKILL')
    this.#child = undefined
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5 })
  }

  /** The SDK's own client with the rights of the owner, or with the given credentials. */
  client(credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string }): S3Client {
    const { endpoint, region, accessKey, secretKey, ca } = this
    const own = { accessKeyId: accessKey, secretAccessKey: secretKey }
    const client = makeClient({ endpoint, region, ca, credentials: credentials ?? own })
    this.#clients.push(client)
    return client
  }

  async makeBucket(name: string): Promise<void> {
    await this.client().send(new CreateBucketCommand({ Bucket: name }))
  }

  async #tryStart(): Promise<boolean> {
    const { args, env, healthPath } = this.#launch()
    const binary = serverBinary(this.kind)
    const [command = binary, ...before] = DIES_WITH_US
    const log = openSync(join(this.dir, 'log'), 'a')
    const child = spawn(command, before.length === 0 ? args : [...before, binary, ...args], {
      env: { PATH: process.env['PATH'], HOME: join(this.dir, 'home'), ...env },
      stdio: ['ignore', log, log],
    })
    closeSync(log)
    this.#child = child
    // whatever is left running must not keep a test from its end
    child.unref()
    // one that could not be started is seen below: it has no pid
    child.once('error', () => undefined)
    const end = performance.now() + READY_WITHIN_MS
    while (performance.now() < end && child.pid !== undefined && child.exitCode === null) {
      if (listensOn(child.pid, this.#port) && (await this.#answers(healthPath)) && (await this.#serves()))
        return true
      await moment(POLL_MS)
    }
    await this.#end('SIGKILL')
    return false
  }

  #launch(): Launch {
    return launchOf(this.kind, {
      dataDir: this.dataDir,
      iamDir: join(this.dir, 'iam'),
      certificatesDir: join(this.dir, 'certificates'),
      port: this.#port,
      accessKey: this.accessKey,
      secretKey: this.secretKey,
      tls: this.#tls,
    })
  }

  async #answers(path: string): Promise<boolean> {
    const get = this.#tls === undefined ? http.get : https.get
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const options = { ...(this.ca === undefined ? {} : { ca: this.ca }), agent: false, timeout: 10_000 }
    const request = get(this.endpoint + path, options, (reply) => {
      reply.resume()
      resolve(reply.statusCode === 200)
    })
    request.on('timeout', () => request.destroy())
    // it is not there yet: asked again
    request.on('error', () => resolve(false))
    return await promise
  }

  /** MinIO is healthy a moment before it takes requests. */
  async #serves(): Promise<boolean> {
    const client = this.client()
    try {
      await client.send(new ListBucketsCommand())
      return true
    } catch {
      return false // not yet: asked again, until it is too late
    } finally {
      client.destroy()
    }
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    // a paused process takes no other signal before it goes on
    child.kill('SIGCONT')
    const late = setTimeout(() => child.kill('SIGKILL'), ENDS_WITHIN_MS)
    await ended
    clearTimeout(late)
  }
}
