/** From a manifest's object to an open reader: is it there, is it what was committed, can it be read. */
import { createHash } from 'node:crypto'
import {
  type Bucket,
  BucketError,
  type Manifest,
  type ManifestObject,
  OBJECT_TOO_LARGE,
} from '../ship/mod.ts'
import { type Decoder, UnreadableError } from './decoder.ts'
import type { Checked, Findings } from './report.ts'
import { ObjectReader } from './rows.ts'

/** `Checked`, while it grows. */
export type Tally = { -readonly [K in keyof Checked]: Checked[K] }

/** What a verification reads from, with what, and how much it has read. */
export interface Source {
  readonly bucket: Bucket
  readonly decoder: Decoder
  readonly tally: Tally
  /** Ends the verification: it throws the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

/** The object under a key, or that it has more than so many bytes: nobody's file may cost more memory than ours do. */
export async function getWithin(
  bucket: Bucket,
  key: string,
  bytesMax: number,
): Promise<Buffer | 'too_large' | undefined> {
  try {
    return await bucket.get(key, bytesMax)
  } catch (error) {
    if (error instanceof BucketError && error.code === OBJECT_TOO_LARGE) return 'too_large'
    throw error
  }
}

/**
 * Opens an object under `key`, or notes why it cannot be. Throws the bucket's own errors: a store that does not
 * answer says nothing about its data.
 */
export async function openObject(
  { bucket, decoder, tally, signal }: Source,
  manifest: Manifest,
  object: ManifestObject,
  key: string,
  findings: Findings,
): Promise<ObjectReader | undefined> {
  signal?.throwIfAborted()
  const body = await getWithin(bucket, key, object.bytes)
  if (body === 'too_large') {
    findings.note('object_size', key, `it has more than the ${object.bytes} bytes that its manifest says`)
    return undefined
  }
  if (body === undefined) {
    findings.note('object_missing', key, 'its manifest names it, the bucket does not have it')
    return undefined
  }
  tally.objects++
  tally.bytes += body.byteLength
  if (body.byteLength !== object.bytes) {
    findings.note('object_size', key, `it has ${body.byteLength} bytes, its manifest says ${object.bytes}`)
    return undefined
  }
  const hash = createHash('sha256').update(body).digest('hex')
  if (hash !== object.sha256) {
    findings.note('object_altered', key, `its bytes hash to ${hash}, its manifest says ${object.sha256}`)
    return undefined
  }
  try {
    const reader = await ObjectReader.open(new Uint8Array(body), object.stream, decoder)
    tally.rows += reader.rows
    const { exchange, symbol, stream } = reader.metadata
    if (exchange === manifest.exchange && symbol === manifest.symbol && stream === object.stream)
      return reader
    reader.close()
    findings.note('object_unreadable', key, `it says that it is ${stream} of ${symbol} on ${exchange}`)
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error
    findings.note('object_unreadable', key, error.message)
  }
  return undefined
}
