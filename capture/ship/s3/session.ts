/**
 * The SDK's client and the credentials that it signs with. It is kept as long as they are the same: it learns the
 * distance of the store's clock, and its connections are open. The SDK itself looks for nothing: region, endpoint and
 * credentials are handed to it, so it never asks the vendor's machines for them.
 */
import { createHash, X509Certificate } from 'node:crypto'
import fs from 'node:fs/promises'
import http from 'node:http'
import https from 'node:https'
import tls from 'node:tls'
import type * as Sdk from '@aws-sdk/client-s3'
import type { NodeHttpHandler } from '@smithy/node-http-handler'
import { BucketError } from '../bucket.ts'
import { systemCode } from '../durable.ts'
import { addressOf, type S3Config, type S3Deadlines } from './config.ts'
import type { Credentials } from './credentials.ts'

/** Credentials are looked at this often, so that new ones are in use before the old ones are withdrawn. */
const LOOK_EVERY_MS = 300_000
/** Those that tell their end are renewed so long before it instead; not more often than each minute. */
const RENEW_BEFORE_MS = 300_000
const RENEW_EVERY_MS_MIN = 60_000
/** Shorter than this nothing is a secret, and might be a word of a message. */
const SECRET_LENGTH_MIN = 8
const SOCKETS_MAX = 8
const CERTIFICATE_PATTERN = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g
const PROXY_NAMES = ['HTTPS_PROXY', 'HTTP_PROXY', 'https_proxy', 'http_proxy']
const NO_PROXY_NAMES = ['NO_PROXY', 'no_proxy']

type Env = Readonly<Record<string, string | undefined>>

export interface Session {
  readonly sdk: typeof Sdk
  readonly client: Sdk.S3Client
  /** What must never appear in a message. */
  readonly secrets: readonly string[]
}

interface Kept extends Session {
  readonly fingerprint: string
  readonly close: () => void
}

export class Sessions {
  readonly #config: S3Config
  readonly #deadlines: S3Deadlines
  readonly #env: Env
  readonly #nowMs: () => number
  #kept: Kept | undefined
  /** Requests that come while the credentials are looked at wait for the same look. */
  #looking: Promise<Session> | undefined
  #lookAtMs = 0

  constructor(config: S3Config, deadlines: S3Deadlines, env: Env, nowMs: () => number) {
    this.#config = config
    this.#deadlines = deadlines
    this.#env = env
    this.#nowMs = nowMs
  }

  /** A client with the credentials of now. Throws BucketError where there are none, or no usable authority. */
  async current(signal: AbortSignal): Promise<Session> {
    if (this.#kept !== undefined && this.#nowMs() < this.#lookAtMs) return this.#kept
    this.#looking ??= this.#look(signal).finally(() => {
      this.#looking = undefined
    })
    return await this.#looking
  }

  async #look(signal: AbortSignal): Promise<Session> {
    const made = await this.#open(signal)
    const { credentials, handler, ca } = made
    const fingerprint = createHash('sha256')
      .update(JSON.stringify([credentials, ca]))
      .digest('hex')
    const { expiresMs } = credentials
    const renewAtMs = Math.max((expiresMs ?? 0) - RENEW_BEFORE_MS, this.#nowMs() + RENEW_EVERY_MS_MIN)
    this.#lookAtMs = expiresMs === undefined ? this.#nowMs() + LOOK_EVERY_MS : renewAtMs
    if (this.#kept?.fingerprint === fingerprint) {
      handler.destroy()
      return this.#kept
    }
    const before = this.#kept
    this.#kept = await this.#client(
      credentials,
      handler,
      fingerprint,
      before?.client.config.systemClockOffset,
    )
    before?.close()
    return this.#kept
  }

  /** After an authentication error: the next request looks at the credentials again. */
  doubt(): void {
    this.#lookAtMs = 0
  }

  /** Ends the client and its connections. */
  close(): void {
    this.#kept?.close()
    this.#kept = undefined
    this.#lookAtMs = 0
  }

  async #open(
    signal: AbortSignal,
  ): Promise<{ credentials: Credentials; handler: NodeHttpHandler; ca: string }> {
    const ca = await readCa(this.#config.caFile)
    const handler = await this.#handler(ca)
    try {
      const { region } = addressOf(this.#config)
      return { credentials: await this.#config.credentials.read({ region, handler, signal }), handler, ca }
    } catch (error) {
      handler.destroy()
      throw error
    }
  }

  async #handler(ca: string): Promise<NodeHttpHandler> {
    const { NodeHttpHandler } = await import('@smithy/node-http-handler')
    const proxyEnv = proxiesOf(this.#env)
    const options = { keepAlive: true, maxSockets: SOCKETS_MAX, proxyEnv }
    // agents of our own: the SDK would go round the proxy for large uploads with agents that it makes itself
    return new NodeHttpHandler({
      httpAgent: new http.Agent(options),
      httpsAgent: new https.Agent({ ...options, ...trusted(ca) }),
      connectionTimeout: this.#deadlines.connectMs,
      socketTimeout: this.#deadlines.silenceMs,
    })
  }

  async #client(
    credentials: Credentials,
    handler: NodeHttpHandler,
    fingerprint: string,
    clockOffsetMs: number | undefined,
  ): Promise<Kept> {
    // loaded with the first request: a capture connects to its exchange first
    const sdk = await import('@aws-sdk/client-s3')
    const { region, endpoint, forcePathStyle } = addressOf(this.#config)
    const { accessKeyId, secretAccessKey, sessionToken } = credentials
    const client = new sdk.S3Client({
      region,
      forcePathStyle,
      endpoint,
      credentials: { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) },
      requestHandler: handler,
      maxAttempts: 1,
      // our own SHA-256 is the only checksum, and it is in a header: bodies go out as they are
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      expectContinueHeader: false,
      useDualstackEndpoint: false,
      useFipsEndpoint: false,
      useArnRegion: false,
      defaultsMode: 'standard',
      ...(clockOffsetMs === undefined ? {} : { systemClockOffset: clockOffsetMs }),
    })
    return {
      sdk,
      client,
      secrets: [accessKeyId, secretAccessKey, sessionToken ?? ''].filter(
        ({ length }) => length >= SECRET_LENGTH_MIN,
      ),
      fingerprint,
      close: () => client.destroy(),
    }
  }
}

/**
 * The variables as Node takes them. An address without a scheme is one of HTTP, as elsewhere; one that is none is an
 * error: Node would go round the proxy, and nobody would notice where requests go directly.
 */
function proxiesOf(env: Env): Record<string, string> {
  const proxies: Record<string, string> = {}
  for (const name of NO_PROXY_NAMES) if (env[name]) proxies[name] = env[name]
  for (const name of PROXY_NAMES) {
    const value = env[name]
    if (value === undefined || value === '') continue
    const address = value.includes('://') ? value : `http://${value}`
    if (!['http:', 'https:'].includes(URL.parse(address)?.protocol ?? '')) {
      throw new BucketError(
        'ProxyFailed',
        'configuration',
        `${name} is no address of a proxy, such as http://proxy:3128`,
      )
    }
    proxies[name] = address
  }
  return proxies
}

async function readCa(file: string | undefined): Promise<string> {
  if (file === undefined) return ''
  try {
    return await fs.readFile(file, 'utf8')
  } catch (error) {
    const why = systemCode(error) || 'an error that nothing expected'
    throw new BucketError(
      'CaMissing',
      'configuration',
      `the authority's certificate ${file} cannot be read (${why})`,
    )
  }
}

/** Adds to the authorities that are trusted anyway; one context for all connections, since making it is slow. */
function trusted(ca: string): { readonly secureContext?: tls.SecureContext } {
  if (ca === '') return {}
  try {
    // a context takes a text without any certificate, and then trusts nobody more
    const own = ca.match(CERTIFICATE_PATTERN)?.map((pem) => new X509Certificate(pem).toString()) ?? []
    if (own.length === 0) throw new Error('no certificate')
    return { secureContext: tls.createSecureContext({ ca: [...tls.getCACertificates('default'), ...own] }) }
  } catch {
    // which file it is stands in the configuration, and what it holds is not for a log
    throw new BucketError('CaMalformed', 'configuration', "the authority's certificate is no PEM")
  }
}
