/**
 * The world around a cluster, as one pod: the simulated exchange and an S3 server, and a port by which a test moves
 * them: faults, the server's death and return, what was emitted, and the bucket as an archive.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { z } from 'zod'
import { type Launch, launchOf } from '../../s3/launch.ts'
import { type Sim, startSim } from '../../sim/mod.ts'
import { truthOf, truthText } from '../../support/truth.ts'
import { BUCKET, DATA_DIR, PORTS, WORLD_ENV } from './contract.ts'

const EVERYWHERE = '0.0.0.0'
const SERVER = '/world/versitygw'
const STORE_DIR = join(DATA_DIR, 's3')
const IAM_DIR = join(DATA_DIR, 'iam')

const Options = z.object({
  accessKey: z.string(),
  secretKey: z.string(),
  market: z.looseObject({ seed: z.number(), symbols: z.array(z.string()) }),
})

/** The S3 server: killed and started again on the same data. */
class Store {
  readonly #options: z.infer<typeof Options>
  #child: ChildProcess | undefined

  constructor(options: z.infer<typeof Options>) {
    this.#options = options
  }

  start(): void {
    if (this.#child !== undefined) return
    for (const dir of [join(STORE_DIR, BUCKET), IAM_DIR]) mkdirSync(dir, { recursive: true })
    const { args, env } = this.#launch()
    const child = spawn(SERVER, args, { env: { HOME: DATA_DIR, ...env }, stdio: 'inherit' })
    this.#child = child
    // unasked for, it would leave every test waiting: the pod fails, and says so
    child.once('exit', (code) => {
      if (this.#child === child) process.exit(code ?? 1)
    })
  }

  /** Throws while it takes no connections. */
  async look(): Promise<void> {
    const { healthPath } = this.#launch()
    const { status } = await fetch(`http://127.0.0.1:${PORTS.s3}${healthPath}`)
    if (status !== 200) throw new Error(`the store says ${status}`)
  }

  async kill(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  #launch(): Launch {
    const { accessKey, secretKey } = this.#options
    return launchOf('versitygw', {
      ...{ dataDir: STORE_DIR, iamDir: IAM_DIR, accessKey, secretKey, host: EVERYWHERE, port: PORTS.s3 },
      ...{ tls: undefined, certificatesDir: '' },
    })
  }
}

/** One request of a test: `METHOD /path?argument`. */
async function answer(
  { sim, store }: { readonly sim: Sim; readonly store: Store },
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://world')
  const value = (name: string) => url.searchParams.get(name) ?? ''
  switch (`${request.method} ${url.pathname}`) {
    case 'GET /ready':
      await store.look()
      response.end('ok')
      return
    case 'GET /truth':
      response.setHeader('content-type', 'application/json').end(truthText(truthOf(sim, value('symbol'))))
      return
    case 'GET /bucket':
      archive(response, value('below'))
      return
    case 'POST /inject':
      sim.inject(value('faults'))
      response.end()
      return
    case 'POST /lift':
      sim.lift(value('symbol'))
      response.end()
      return
    case 'POST /skew':
      sim.skewFor(value('addresses'), Number(value('ms')))
      response.end()
      return
    case 'GET /violations':
      response.setHeader('content-type', 'application/json').end(JSON.stringify(sim.violations))
      return
    case 'POST /store/kill':
      await store.kill()
      response.end()
      return
    case 'POST /store/start':
      store.start()
      response.end()
      return
    default:
      response.writeHead(404).end()
  }
}

/**
 * The bucket as the store keeps it: objects as files. What changes meanwhile is there as it was, or as it is. By name:
 * `manifest` comes before `parquet`, so that what a manifest tells of is there.
 */
function archive(response: ServerResponse, below: string): void {
  const args = [
    '--create',
    '--sort=name',
    '--warning=no-file-changed',
    '--warning=no-file-removed',
    '--file=-',
  ]
  const tar = spawn('tar', [...args, '--directory', STORE_DIR, join(BUCKET, below)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  tar.stdout.pipe(response)
}

async function main(): Promise<void> {
  const options = Options.parse(JSON.parse(process.env[WORLD_ENV] ?? ''))
  const sim = await startSim({ ...options.market, host: EVERYWHERE, port: PORTS.exchange })
  const store = new Store(options)
  store.start()
  const control = createServer((request, response) => {
    answer({ sim, store }, request, response).catch((error: unknown) => {
      response.writeHead(500).end(String(error))
    })
  })
  // whoever keeps a connection would otherwise send into one that is being closed
  control.keepAliveTimeout = 0
  control.listen(PORTS.control, EVERYWHERE)
  process.once('SIGTERM', () => process.exit(0))
}

await main()
