import type { V1Pod } from '@kubernetes/client-node'
import type { L2CaptureResource } from '../../api/resource.ts'
import { isDrained } from './ends.ts'
import type { Needs } from './observed.ts'
import { viewPod } from './pods.ts'

/** What was read afresh, straight from the API server, right before an action; undefined is "not found". */
export interface Fresh {
  readonly capture?: L2CaptureResource | undefined
  readonly live?: V1Pod | undefined
  readonly self?: V1Pod | undefined
}

/** Why an action must not go ahead, as a sentence for the log; undefined where it may. */
export function unmet(needs: Needs | undefined, fresh: Fresh): string | undefined {
  if (needs === undefined) return undefined
  return (
    unmetGeneration(needs, fresh.capture) ??
    unmetLive(needs.live, fresh.live) ??
    unmetSelf(needs.self, fresh.self)
  )
}

function unmetGeneration(
  { generation, captureUid }: Needs,
  capture: L2CaptureResource | undefined,
): string | undefined {
  if (generation === undefined) return undefined
  if (capture === undefined || capture.metadata.uid !== captureUid) return 'the L2Capture is gone'
  if (capture.metadata.deletionTimestamp !== undefined) return 'the L2Capture is being deleted'
  if (capture.metadata.generation === generation) return undefined
  return `its spec has changed: generation ${capture.metadata.generation}, planned for ${generation}`
}

function unmetLive(ref: Needs['live'], pod: V1Pod | undefined): string | undefined {
  if (ref === undefined) return undefined
  if (pod?.metadata?.uid !== ref.uid) return `${ref.name} is gone`
  const { live, active } = viewPod(pod)
  return live && active ? undefined : `${ref.name} is not live any more`
}

function unmetSelf(self: Needs['self'], pod: V1Pod | undefined): string | undefined {
  if (self === undefined) return undefined
  if (pod === undefined) return 'the pod is gone'
  const view = viewPod(pod)
  if (view.deleting) return 'someone has deleted the pod'
  switch (self) {
    case 'neverStarted':
      return view.neverStarted ? undefined : 'its container has started'
    case 'drained':
      return isDrained(view.end) ? undefined : 'it does not report that it is drained'
    case 'notLive':
      return view.live ? 'it is live again' : undefined
  }
}
