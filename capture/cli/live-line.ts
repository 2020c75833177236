/** One line on a terminal that tells how far a command is. */
import type { Bucket } from '../ship/mod.ts'
import { grouped } from './text.ts'

const PROGRESS_EVERY_MS = 200

/** A terminal, as far as a live line needs one. */
export interface LiveOutput {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

/** One line that is written over, where a person watches; nothing where nobody does. */
export class LiveLine {
  readonly #output: LiveOutput | undefined
  readonly #nowMs: () => number
  #lastMs = Number.NEGATIVE_INFINITY

  constructor(output: LiveOutput | undefined, nowMs = () => performance.now()) {
    this.#output = output?.isTTY === true ? output : undefined
    this.#nowMs = nowMs
  }

  show(text: () => string): void {
    const nowMs = this.#nowMs()
    if (this.#output === undefined || nowMs - this.#lastMs < PROGRESS_EVERY_MS) return
    this.#lastMs = nowMs
    // a line that wraps cannot be written over
    const columns = this.#output.columns || Number.POSITIVE_INFINITY
    this.#output.write(`\r\x1b[K${text().slice(0, columns - 1)}`)
  }

  clear(): void {
    if (this.#lastMs !== Number.NEGATIVE_INFINITY) this.#output?.write('\r\x1b[K')
  }
}

/** The bucket, which tells how many keys of a list have come: a large one takes minutes before anything else shows. */
export function countingKeys(bucket: Bucket, onKeys: (keys: number) => void): Bucket {
  return {
    description: bucket.description,
    put: (key, body, sha256) => bucket.put(key, body, sha256),
    get: (key, bytesMax) => bucket.get(key, bytesMax),
    list: async function* (prefix) {
      let keys = 0
      for await (const entry of bucket.list(prefix)) {
        keys++
        if (prefix === '') onKeys(keys)
        yield entry
      }
    },
  }
}

export function listingText(keys: number): string {
  return `listing: ${grouped(keys)} keys`
}
