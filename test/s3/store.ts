/**
 * The store that tests ship to: a server of our own, or somebody's:
 *
 *   L2CAP_TEST_S3_ENDPOINT     its address; without it a server is started
 *   L2CAP_TEST_S3_BUCKET       a bucket that is there; tests write below a prefix of their own, and remove that again
 *   L2CAP_TEST_S3_REGION       default us-east-1
 *   L2CAP_TEST_S3_ACCESS_KEY, L2CAP_TEST_S3_SECRET_KEY
 *   L2CAP_TEST_S3_CA           PEM file of a private authority, if need be
 *   L2CAP_TEST_S3_SERVER       which server is started where there is no endpoint: versitygw (default) or minio
 */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  NoSuchKey,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { environmentCredentials, S3Bucket, type S3Config, type S3Options } from '../../capture/ship/s3/mod.ts'
import { makeClient } from './client.ts'
import { type S3Server, type S3ServerOptions, s3Problem, startS3 } from './server.ts'

const BUCKET = 'l2cap-test'
/** Far above what a machine may stand still: what a server answers in the end was no failure. */
const PATIENT = { connectMs: 300_000, silenceMs: 300_000, baseMs: 300_000 }

export interface StoreAddress {
  readonly endpoint: string
  readonly region: string
  readonly bucket: string
  readonly accessKey: string
  readonly secretKey: string
  readonly caFile?: string | undefined
}

/** Somebody's own store; undefined where none is given. Throws where only half of it is. */
export function givenStore(env: NodeJS.ProcessEnv = process.env): StoreAddress | undefined {
  const value = (name: string) => env[`L2CAP_TEST_S3_${name}`] ?? ''
  const endpoint = value('ENDPOINT')
  if (endpoint === '') return undefined
  const missing = ['BUCKET', 'ACCESS_KEY', 'SECRET_KEY'].filter((name) => value(name) === '')
  if (missing.length > 0) {
    throw new Error(
      `L2CAP_TEST_S3_ENDPOINT is set; set ${missing.map((name) => `L2CAP_TEST_S3_${name}`).join(', ')}, too`,
    )
  }
  return {
    endpoint,
    region: value('REGION') || 'us-east-1',
    bucket: value('BUCKET'),
    accessKey: value('ACCESS_KEY'),
    secretKey: value('SECRET_KEY'),
    caFile: value('CA') || undefined,
  }
}

/** Why there is no store to ship to, for the skip of a test; empty where there is one. */
export function storeProblem(): string {
  return givenStore() === undefined ? s3Problem() : ''
}

/** Why no server can be had that a test may do evil to; empty where one can. */
export function serverProblem(): string {
  return givenStore() === undefined
    ? s3Problem()
    : 'the store is somebody else’s: it is neither stopped nor filled'
}

/** A prefix in a store, empty at first. */
export class TestStore {
  readonly address: StoreAddress
  readonly prefix = `test-${randomBytes(6).toString('hex')}`
  readonly client: S3Client

  constructor(address: StoreAddress) {
    const { endpoint, region, accessKey, secretKey, caFile } = address
    this.address = address
    this.client = makeClient({
      endpoint,
      region,
      ca: caFile === undefined ? undefined : readFileSync(caFile, 'utf8'),
      credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
    })
  }

  get config(): S3Config {
    const { bucket, region, endpoint, caFile, accessKey, secretKey } = this.address
    const credentials = environmentCredentials({
      AWS_ACCESS_KEY_ID: accessKey,
      AWS_SECRET_ACCESS_KEY: secretKey,
    })
    return { bucket, prefix: this.prefix, region, endpoint, caFile, credentials }
  }

  /** What the command line and a capture are told by their environment. */
  get env(): Readonly<Record<string, string>> {
    const { region, endpoint, caFile, accessKey, secretKey } = this.address
    return {
      AWS_ACCESS_KEY_ID: accessKey,
      AWS_SECRET_ACCESS_KEY: secretKey,
      AWS_REGION: region,
      AWS_ENDPOINT_URL_S3: endpoint,
      AWS_EC2_METADATA_DISABLED: 'true',
      ...(caFile === undefined ? {} : { AWS_CA_BUNDLE: caFile }),
    }
  }

  /** `s3://bucket/prefix`. */
  get url(): string {
    return `s3://${this.address.bucket}/${this.prefix}`
  }

  bucket(options: S3Options = {}): S3Bucket {
    // a store on this machine is asked without the machine's proxy
    return new S3Bucket(this.config, { env: {}, deadlines: PATIENT, ...options })
  }

  /** What lies under a key, asked without any code of the product. */
  readonly truth = async (key: string): Promise<Buffer | undefined> => {
    try {
      const { Body } = await this.client.send(new GetObjectCommand(this.#named(key)))
      return Body === undefined ? undefined : Buffer.from(await Body.transformToByteArray())
    } catch (error) {
      if (error instanceof NoSuchKey) return undefined
      throw error
    }
  }

  async put(key: string, body: Buffer): Promise<void> {
    await this.client.send(new PutObjectCommand({ ...this.#named(key), Body: body }))
  }

  async delete(key: string): Promise<void> {
    await this.client.send(new DeleteObjectCommand(this.#named(key)))
  }

  async keys(): Promise<string[]> {
    const found: string[] = []
    let token: string | undefined
    do {
      const page = await this.client.send(
        new ListObjectsV2Command({
          Bucket: this.address.bucket,
          Prefix: `${this.prefix}/`,
          ...(token === undefined ? {} : { ContinuationToken: token }),
        }),
      )
      found.push(...(page.Contents ?? []).map(({ Key = '' }) => Key.slice(this.prefix.length + 1)))
      token = page.NextContinuationToken
    } while (token !== undefined)
    return found
  }

  async empty(): Promise<void> {
    for (const key of await this.keys()) await this.delete(key)
  }

  #named(key: string) {
    return { Bucket: this.address.bucket, Key: `${this.prefix}/${key}` }
  }
}

/** A server with a bucket; whoever started it removes it. */
export class OwnStore extends TestStore {
  readonly server: S3Server

  private constructor(server: S3Server) {
    const { endpoint, region, accessKey, secretKey, caPath } = server
    super({ endpoint, region, bucket: BUCKET, accessKey, secretKey, caFile: caPath })
    this.server = server
  }

  static async start(options: S3ServerOptions = {}): Promise<OwnStore> {
    const server = await startS3(options)
    try {
      await server.makeBucket(BUCKET)
      return new OwnStore(server)
    } catch (error) {
      server.remove()
      throw error
    }
  }
}

/** A prefix in the store of this run, gone again with the test. */
export async function openStore(context: { after(work: () => Promise<void>): void }): Promise<TestStore> {
  const given = givenStore()
  if (given !== undefined) {
    const store = new TestStore(given)
    context.after(async () => {
      await store.empty()
      store.client.destroy()
    })
    return store
  }
  return await ownStore(context)
}

/** A server of the test's own, gone again with it. */
export async function ownStore(
  context: { after(work: () => Promise<void>): void },
  options: S3ServerOptions = {},
): Promise<OwnStore> {
  const store = await OwnStore.start(options)
  context.after(async () => {
    store.client.destroy()
    store.server.remove()
  })
  return store
}
