import type { ProcessConfig } from '../../api/config.ts'
import type { SegmentHeader } from '../journal/mod.ts'

/** Who writes, as segments and manifests spell it. */
export function writerOf({ writer: { podUid, ...writer } }: ProcessConfig): SegmentHeader['writer'] {
  // a capture outside a cluster has no pod, and says nothing of one
  return podUid === '' ? writer : { ...writer, pod_uid: podUid }
}

/** Is it a pod, which others may succeed? */
export function isPod({ writer }: ProcessConfig): boolean {
  return writer.podUid !== ''
}
