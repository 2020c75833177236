/** A shipper and an evil store, put together. */
import { type Bucket, Requests } from '../../../capture/ship/mod.ts'
import { environmentCredentials, S3Bucket, type S3Deadlines } from '../../../capture/ship/s3/mod.ts'
import { temporary } from '../../ship/fixture.ts'
import { Shipping } from '../shipping.ts'
import type { Operation } from './faults.ts'
import { sha256Hex } from './objects.ts'
import { EvilStore } from './store.ts'

const PREFIX = 'cap'
/** An honest answer is waited for as long as a machine may stand still. */
const PATIENT: Partial<S3Deadlines> = { connectMs: 300_000, silenceMs: 300_000, baseMs: 300_000 }
/** For requests that the store falls silent on: there are a hundred. */
const HASTY: Partial<S3Deadlines> = { ...PATIENT, silenceMs: 300 }

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
}

/** It ends with the test. */
export async function evilScene(
  context: { after(work: () => Promise<void>): void },
  { windows, random }: EvilOptions,
): Promise<EvilScene> {
  const store = await EvilStore.start()
  const requests = new Requests()
  const patient = evilBucket(store, PATIENT, requests)
  const hasty = evilBucket(store, HASTY, requests)
  const bucket = whicheverFits(store, patient, hasty)
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
    patient.close()
    hasty.close()
    await store.stop()
  })
  return { store, shipping, truth, requests }
}

/** Hasty where the store will not answer, patient where it will: no honest request meets a deadline. */
function whicheverFits(store: EvilStore, patient: S3Bucket, hasty: S3Bucket): Bucket {
  const of = (operation: Operation, key: string) =>
    store.hangs(operation, `${PREFIX}/${key}`) ? hasty : patient
  return {
    description: patient.description,
    put: (key, body, hash) => of('put', key).put(key, body, hash),
    get: (key, bytesMax) => of('get', key).get(key, bytesMax),
    list: (prefix) => of('list', prefix).list(prefix),
  }
}

export function evilBucket(
  store: EvilStore,
  deadlines: Partial<S3Deadlines>,
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
