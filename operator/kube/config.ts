/** Where the API server is and who we are, from the places where Kubernetes clients look. */
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { KubeError } from './errors.ts'
import { serviceAccountAccess } from './service-account.ts'

/** How to reach the API server, as it stands now; read anew after a 401, for all of it may have been rotated. */
export interface Access {
  /** Scheme, host, port and path prefix, without a slash at the end. */
  readonly server: string
  readonly headers: Readonly<Record<string, string>>
  readonly tls: Tls
  readonly proxy: string | undefined
  /** Of the pod that we are, or of the kubeconfig's context. */
  readonly namespace: string | undefined
}

export interface Tls {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  readonly servername?: string
  readonly rejectUnauthorized?: boolean
}

/** Reads everything anew: files, tokens, credential plug-ins. Throws KubeError, or what the disk says. */
export type ReadAccess = () => Promise<Access>

export interface Place {
  /** A kubeconfig file; overrules the environment. */
  readonly kubeconfig?: string | undefined
  /** A context of the kubeconfig other than its current one; a pod's service account has none. */
  readonly context?: string | undefined
}

type Environment = Readonly<Record<string, string | undefined>>
type Source = { readonly kind: 'files'; readonly files: readonly string[] } | { readonly kind: 'pod' }

/** --kubeconfig, then KUBECONFIG, then the pod's service account, then ~/.kube/config: controller-runtime's order. */
function sourceOf(place: Place, env: Environment): Source {
  if (place.kubeconfig !== undefined) return { kind: 'files', files: [place.kubeconfig] }
  const listed = (env.KUBECONFIG ?? '').split(delimiter).filter((file) => file !== '')
  if (listed.length > 0) return { kind: 'files', files: listed }
  if (env.KUBERNETES_SERVICE_HOST !== undefined) return { kind: 'pod' }
  const home = join(env.HOME ?? homedir(), '.kube', 'config')
  if (existsSync(home)) return { kind: 'files', files: [home] }
  throw new KubeError(
    'ConfigMissing',
    'no way to the API server is configured: this is no pod (KUBERNETES_SERVICE_HOST is not set) and there is no ' +
      `kubeconfig at ${home}. Give --kubeconfig or KUBECONFIG.`,
  )
}

/**
 * A reader of the configuration that `place` and `env` point to. A kubeconfig has many ways to log in: for one it
 * loads client-node (85 MB) at its first call. A pod does without.
 */
export function accessReader(place: Place = {}, env: Environment = process.env): ReadAccess {
  return async () => {
    const source = sourceOf(place, env)
    if (source.kind === 'pod') return serviceAccountAccess(env)
    const { KubeConfig } = await import('./kube-config.ts')
    const config = new KubeConfig()
    try {
      for (const [index, file] of source.files.entries()) {
        const one = new KubeConfig()
        one.loadFromFile(file)
        takeTokenFiles(one, file)
        config.mergeConfig(one, index > 0)
      }
    } catch (error) {
      throw new KubeError('ConfigInvalid', `cannot read ${source.files.join(', ')}: ${String(error)}`, error)
    }
    if (place.context !== undefined) config.setCurrentContext(place.context)
    return accessOf(config)
  }
}

type Loaded = InstanceType<typeof import('./kube-config.ts').KubeConfig>

const TokenFiles = z.object({
  users: z
    .array(
      z.object({ name: z.string(), user: z.object({ tokenFile: z.string().min(1).optional() }).nullish() }),
    )
    .nullish(),
})

/** client-node reads `token-file` alone; kubectl and client-go write and read `tokenFile`, and it wins over `token`. */
function takeTokenFiles(config: Loaded, file: string): void {
  const { users } = TokenFiles.parse(parse(readFileSync(file, 'utf8')))
  for (const { name, user } of users ?? []) {
    if (user?.tokenFile === undefined) continue
    const authProvider = { name: 'tokenFile', config: { tokenFile: resolve(dirname(file), user.tokenFile) } }
    config.users = config.users.map((one) => (one.name === name ? { name, authProvider } : one))
  }
}

async function accessOf(config: Loaded): Promise<Access> {
  // client-node's types leave out that a file may have none
  const name: string | undefined = config.getCurrentContext()
  if (name === undefined || name === '')
    throw new KubeError(
      'ConfigInvalid',
      'the kubeconfig names no current-context: there is no cluster to ask',
    )
  const context = config.getContextObject(name)
  const cluster = config.getCurrentCluster()
  if (cluster === null) {
    throw new KubeError('ConfigInvalid', `the kubeconfig's context "${name}" names no cluster that it holds`)
  }
  // before the credentials: client-node refuses, too, and in its own words
  const server = checkedServer(cluster.server)
  const options: import('node:https').RequestOptions = {}
  try {
    await config.applyToHTTPSOptions(options)
  } catch (error) {
    throw new KubeError('ConfigInvalid', `cannot read the credentials of ${name}: ${String(error)}`, error)
  }
  return {
    server,
    headers: headersOf(options),
    tls: tlsOf(options),
    proxy: checkedProxy(cluster.proxyUrl),
    namespace: context?.namespace?.trim() || undefined,
  }
}

/** Plain HTTP gives the token to anybody on the way: it is for this machine alone, and client-node wants it said. */
function checkedServer(server: string): string {
  const url = URL.canParse(server) ? new URL(server) : undefined
  const local = url !== undefined && ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname)
  if (url?.protocol === 'https:' || (url?.protocol === 'http:' && local)) return server.replace(/\/+$/, '')
  throw new KubeError('ConfigInvalid', `the API server's address must be an https: URL, and is "${server}"`)
}

function checkedProxy(proxy: string | undefined): string | undefined {
  if (proxy === undefined || /^https?:/.test(proxy)) return proxy
  throw new KubeError('ConfigInvalid', `proxy-url must be an http: or https: URL, and is "${proxy}"`)
}

function headersOf(options: import('node:https').RequestOptions): Record<string, string> {
  const headers: Record<string, string> = {}
  if (typeof options.auth === 'string') {
    headers['authorization'] = `Basic ${Buffer.from(options.auth).toString('base64')}`
  }
  if (options.headers === undefined || options.headers === null || Array.isArray(options.headers))
    return headers
  for (const [name, value] of Object.entries(options.headers)) {
    // a token file may end in a newline, which no header may hold
    if (value !== undefined && value !== null) headers[name.toLowerCase()] = String(value).trim()
  }
  return headers
}

function tlsOf(options: import('node:https').RequestOptions): Tls {
  const { ca, cert, key, servername, rejectUnauthorized } = options
  return {
    ...(ca === undefined ? {} : { ca: textOf(ca) }),
    ...(cert === undefined ? {} : { cert: textOf(cert) }),
    ...(key === undefined ? {} : { key: textOf(key) }),
    ...(servername === undefined ? {} : { servername }),
    ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
  }
}

/** Node takes lists of certificates too; client-node gives one, as bytes or text. */
function textOf(pem: unknown): string {
  if (typeof pem === 'string') return pem
  if (pem instanceof Uint8Array) return Buffer.from(pem).toString('utf8')
  throw new KubeError('ConfigInvalid', 'a certificate of the kubeconfig is neither text nor bytes')
}
