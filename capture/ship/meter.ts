/** Counts what is asked of a bucket, whichever it is. */
import type { Bucket, BucketEntry } from './bucket.ts'

/** All since the start; requests count when they are made, bytes once they were stored or came. */
export interface BucketCounts {
  readonly puts: number
  readonly gets: number
  readonly lists: number
  readonly putBytes: number
  readonly gotBytes: number
}

export class MeteredBucket implements Bucket {
  readonly #bucket: Bucket
  readonly #counts = { puts: 0, gets: 0, lists: 0, putBytes: 0, gotBytes: 0 }

  constructor(bucket: Bucket) {
    this.#bucket = bucket
  }

  get description(): string {
    return this.#bucket.description
  }

  get counts(): BucketCounts {
    return { ...this.#counts }
  }

  async put(key: string, body: Buffer, sha256: string): Promise<void> {
    this.#counts.puts++
    await this.#bucket.put(key, body, sha256)
    this.#counts.putBytes += body.byteLength
  }

  async get(key: string, bytesMax?: number): Promise<Buffer | undefined> {
    this.#counts.gets++
    const body = await this.#bucket.get(key, bytesMax)
    this.#counts.gotBytes += body?.byteLength ?? 0
    return body
  }

  async *list(prefix: string): AsyncIterable<BucketEntry> {
    this.#counts.lists++
    yield* this.#bucket.list(prefix)
  }
}
