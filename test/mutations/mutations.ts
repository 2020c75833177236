import { BOOK } from './book.ts'
import { CONNECTIONS } from './connections.ts'
import { DISK } from './disk.ts'
import { EVIDENCE } from './evidence.ts'
import type { Mutation } from './mutation.ts'
import { SHIP } from './ship.ts'
import { STORE } from './store.ts'

export type { Mutation } from './mutation.ts'

/** Along the path of a frame: the book and its ids, evidence, connections and limits, disk, bucket, store. */
export const MUTATIONS: readonly Mutation[] = [
  ...BOOK,
  ...EVIDENCE,
  ...CONNECTIONS,
  ...DISK,
  ...SHIP,
  ...STORE,
]
