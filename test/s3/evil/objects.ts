/** The truth of the evil store: what is in it, whatever it says. */
import { createHash } from 'node:crypto'

export interface Listed {
  readonly key: string
  readonly bytes: number
}

export class Objects {
  readonly #now = new Map<string, Buffer>()
  /** What was there when `remember` was called. */
  #remembered = new Map<string, Buffer>()
  /** How often each key was put, whole or not. */
  readonly puts = new Map<string, number>()

  get keys(): string[] {
    return [...this.#now.keys()].sort()
  }

  put(key: string, body: Buffer): void {
    this.#now.set(key, body)
    this.puts.set(key, (this.puts.get(key) ?? 0) + 1)
  }

  get(key: string): Buffer | undefined {
    return this.#now.get(key)
  }

  remember(): void {
    this.#remembered = new Map(this.#now)
  }

  old(key: string): Buffer | undefined {
    return this.#remembered.get(key)
  }

  clear(): void {
    this.#now.clear()
  }

  /** At most `limit` from the first key after `after`, and whether there are more. */
  page(prefix: string, after: string, limit: number): { readonly found: Listed[]; readonly more: boolean } {
    const keys = this.keys.filter((key) => key.startsWith(prefix) && key > after)
    const found = keys.slice(0, limit).map((key) => ({ key, bytes: this.#now.get(key)?.byteLength ?? 0 }))
    return { found, more: keys.length > limit }
  }
}

export function sha256Base64(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('base64')
}

export function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

export function md5Hex(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('hex')
}

/** The same bytes but for one bit, at this part of them. */
export function flipped(bytes: Buffer, part = 0.5): Buffer {
  const copy = Buffer.from(bytes)
  const at = Math.floor(copy.byteLength * part)
  if (at < copy.byteLength) copy.writeUInt8(copy.readUInt8(at) ^ 1, at)
  return copy
}
