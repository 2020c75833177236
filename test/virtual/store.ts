import { type Bucket, type BucketEntry, BucketError } from '../../capture/ship/mod.ts'
import type { Random } from '../sim/market/mod.ts'
import type { Incarnation } from './time.ts'

const CALL_MS_MAX = 60

/** A bucket in the world: it takes time, and may be away, for all or for one pod. */
export class VirtualStore {
  readonly objects = new Map<string, Buffer>()
  /** Pods that do not reach it; `*` for all. */
  readonly away = new Set<string>()

  /** The bucket as one process of a pod sees it. */
  of(pod: string, process: Incarnation, random: Random): Bucket {
    const call = async (): Promise<void> => {
      await new Promise<void>((done) => process.after(1 + random.below(CALL_MS_MAX), done))
      if (this.away.has('*') || this.away.has(pod)) {
        throw new BucketError('away', 'transient', 'the store is away')
      }
    }
    const { objects } = this
    return {
      description: 'a bucket in the world',
      async put(key, body) {
        await call()
        objects.set(key, Buffer.from(body))
      },
      async get(key) {
        await call()
        return objects.get(key)
      },
      async *list(prefix): AsyncIterable<BucketEntry> {
        await call()
        for (const key of [...objects.keys()].sort()) {
          if (key.startsWith(prefix)) yield { key, bytes: objects.get(key)?.byteLength ?? 0, modifiedMs: 0 }
        }
      },
    }
  }
}
