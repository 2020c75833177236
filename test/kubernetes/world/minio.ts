/**
 * The S3 server of the tests behind as much of MinIO's and mc's command line as examples/minio.yaml uses, for a cluster
 * that cannot pull their images. What it does not know it refuses, so that the example cannot change unseen.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { launchOf } from '../../s3/launch.ts'

const SERVER = '/world/versitygw'
/** Where MinIO answers a readiness probe. */
const HEALTH = '/minio/health/ready'

function refuse(args: readonly string[]): never {
  process.stderr.write(`not known to the stand-in for MinIO: ${args.join(' ')}\n`)
  process.exit(2)
}

function setting(name: string): string {
  const value = process.env[name]
  if (value === undefined) throw new Error(`${name} is not set`)
  return value
}

/** `minio server DIR --address :PORT`; ends as the server ends. */
export function serve(args: readonly string[]): void {
  const [dir, flag, address] = args
  const port = /^:(\d+)$/.exec(address ?? '')?.[1]
  if (dir === undefined || flag !== '--address' || port === undefined || args.length > 3) refuse(args)
  const [dataDir, iamDir] = [join(dir, 'buckets'), join(dir, 'users')]
  for (const one of [dataDir, iamDir]) mkdirSync(one, { recursive: true })
  const launch = launchOf('versitygw', {
    ...{ dataDir, iamDir, host: '0.0.0.0', port: Number(port), tls: undefined, certificatesDir: '' },
    ...{ accessKey: setting('MINIO_ROOT_USER'), secretKey: setting('MINIO_ROOT_PASSWORD') },
  })
  const words = launch.args.map((word) => (word === launch.healthPath ? HEALTH : word))
  const child = spawn(SERVER, words, { env: { HOME: dir, ...launch.env }, stdio: 'inherit' })
  child.once('exit', (code) => process.exit(code ?? 1))
  process.once('SIGTERM', () => child.kill('SIGTERM'))
}

interface Alias {
  readonly url: string
  readonly accessKey: string
  readonly secretKey: string
}

/** `mc alias set NAME URL KEY SECRET` and `mc mb --ignore-existing NAME/BUCKET`. */
export async function client(args: readonly string[]): Promise<void> {
  const [verb, word, ...rest] = args
  if (verb === 'alias' && word === 'set' && rest.length === 4) {
    const [name = '', url, accessKey, secretKey] = rest
    mkdirSync(setting('MC_CONFIG_DIR'), { recursive: true })
    writeFileSync(aliasFile(name), JSON.stringify({ url, accessKey, secretKey }))
  } else if (verb === 'mb' && word === '--ignore-existing' && rest.length === 1) {
    const [name = '', bucket = ''] = (rest[0] ?? '').split('/')
    await makeBucket(JSON.parse(readFileSync(aliasFile(name), 'utf8')), bucket)
  } else refuse(args)
}

function aliasFile(name: string): string {
  return join(setting('MC_CONFIG_DIR'), `${name}.json`)
}

async function makeBucket({ url, accessKey, secretKey }: Alias, bucket: string): Promise<void> {
  const { CreateBucketCommand, S3Client } = await import('@aws-sdk/client-s3')
  const s3 = new S3Client({
    ...{ endpoint: url, region: 'us-east-1', forcePathStyle: true },
    credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
  })
  try {
    await s3.send(new CreateBucketCommand({ Bucket: bucket }))
    process.stdout.write(`Bucket created successfully \`${bucket}\`.\n`)
  } catch (error) {
    const name = error instanceof Error ? error.name : ''
    if (name !== 'BucketAlreadyOwnedByYou' && name !== 'BucketAlreadyExists') throw error
  }
}
