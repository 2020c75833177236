/** A shipper and an evil store, put together. */
import { Requests } from '../../../capture/ship/mod.ts'
import { environmentCredentials, S3Bucket, type S3Deadlines } from '../../../capture/ship/s3/mod.ts'
import { temporary } from '../../ship/fixture.ts'
import { Shipping } from '../shipping.ts'
import { sha256Hex } from './objects.ts'
import { EvilStore } from './store.ts'

const PREFIX = 'cap'
/** Long enough for an honest answer on a busy machine, short enough for a hundred that never come. */
const DEADLINES: Partial<S3Deadlines> = { connectMs: 300, silenceMs: 300, baseMs: 600 }

export interface EvilScene {
  readonly store: EvilStore
  readonly shipping: Shipping
  readonly truth: (key: string) => Promise<Buffer | undefined>
  /** What was sent, as the metric has it. */
  readonly requests: Requests
}

export interface EvilOptions {
  readonly windows: number
  readonly random?: () => number
  readonly deadlines?: Partial<S3Deadlines>
}

/** It ends with the test. */
export async function evilScene(
  context: { after(work: () => Promise<void>): void },
  { windows, random, deadlines = DEADLINES }: EvilOptions,
): Promise<EvilScene> {
  const store = await EvilStore.start()
  const requests = new Requests()
  const bucket = evilBucket(store, deadlines, requests)
  const truth = async (key: string) => store.objects.get(`${PREFIX}/${key}`)
  const shipping = await Shipping.make(context, {
    dir: await temporary(context),
    bucket,
    windows,
    truth,
    wasServed: (key, bytes) => store.served.get(`${PREFIX}/${key}`) === sha256Hex(bytes),
    ...(random === undefined ? {} : { random }),
  })
  context.after(async () => {
    bucket.close()
    await store.stop()
  })
  return { store, shipping, truth, requests }
}

export function evilBucket(
  store: EvilStore,
  deadlines: Partial<S3Deadlines> = DEADLINES,
  requests: Requests = new Requests(),
): S3Bucket {
  return new S3Bucket(
    {
      bucket: store.bucket,
      prefix: PREFIX,
      region: store.region,
      endpoint: store.endpoint,
      credentials: environmentCredentials({
        AWS_ACCESS_KEY_ID: store.accessKey,
        AWS_SECRET_ACCESS_KEY: store.secretKey,
      }),
    },
    // no proxy of this machine may come between
    { deadlines, env: {}, requests },
  )
}
