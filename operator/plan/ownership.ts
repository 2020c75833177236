import { CONTAINER_NAME, LABELS } from '../../api/labels.ts'
import { ownerOf } from './pod.ts'
import type { PodView } from './pods.ts'
import { type Draft, eventOf, specOf, type World } from './world.ts'

/** Whose pods are whose: by the UID of the controller that owns them, never by labels alone. */
export interface Owned {
  readonly own: readonly PodView[]
  /** With our labels and without an owner, such as after a delete that left them behind: taken over. */
  readonly orphans: readonly PodView[]
  /** With our labels, and someone else's: of a capture that had our name, or no capture at all. Let alone. */
  readonly foreign: readonly PodView[]
}

export function ownedBy(
  capture: { readonly namespace: string; readonly name: string; readonly uid: string },
  pods: readonly PodView[],
): Owned {
  const near = pods.filter(({ ref }) => ref.namespace === capture.namespace)
  const labelled = near.filter(
    ({ owner, pod }) => owner !== capture.uid && pod.metadata?.labels?.[LABELS.capture] === capture.name,
  )
  return {
    own: near.filter(({ owner }) => owner === capture.uid),
    orphans: labelled.filter((pod) => isOrphan(pod) && !pod.deleting),
    foreign: labelled.filter((pod) => !isOrphan(pod)),
  }
}

/** Labels are easily copied: what we have not made for a symbol, such as a person's debugging copy, is not ours. */
function isOrphan({ owner, symbol, pod }: PodView): boolean {
  return (
    owner === '' && symbol !== '' && pod.spec?.containers.some(({ name }) => name === CONTAINER_NAME) === true
  )
}

/** Takes orphans over. Nothing else is decided for their symbols until they are seen as ours. */
export function adopt(world: World, draft: Draft, orphans: readonly PodView[]): void {
  for (const orphan of orphans) {
    if (orphan.ref.uid === '') continue
    const note = `${orphan.ref.name} has this capture's labels and no owner: it is taken over`
    draft.actions.push({
      kind: 'adopt',
      pod: orphan.ref,
      owner: ownerOf(world.capture),
      symbol: orphan.symbol,
      why: note,
      needs: { ...specOf(world) },
      event: eventOf(orphan, { type: 'Normal', reason: 'PodAdopted', action: 'Adopt', note }, 'adopt'),
    })
  }
}
