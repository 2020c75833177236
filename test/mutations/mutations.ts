import { BOOK } from './book.ts'
import { CONNECTIONS } from './connections.ts'
import { DISK } from './disk.ts'
import { EVIDENCE } from './evidence.ts'
import { HANDOVERS } from './handover.ts'
import { KUBE } from './kube.ts'
import type { Mutation } from './mutation.ts'
import { PLAN } from './plan.ts'
import { SHIP } from './ship.ts'
import { STORE } from './store.ts'

export type { Mutation } from './mutation.ts'

/** Along the path of a frame: book and ids, evidence, connections and limits, disk, bucket, store, hand-overs; then the operator. */
export const MUTATIONS: readonly Mutation[] = [
  ...BOOK,
  ...EVIDENCE,
  ...CONNECTIONS,
  ...DISK,
  ...SHIP,
  ...STORE,
  ...HANDOVERS,
  ...KUBE,
  ...PLAN,
]
