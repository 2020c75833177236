/** What the operator decides about pods that hold data. */
import type { Mutation } from './mutation.ts'

const RETIRE = 'operator/plan/retire.ts'
const NEEDS = 'operator/plan/needs.ts'
const BREAKER = 'operator/plan/breaker.ts'
const PACING = 'operator/plan/pacing.ts'

const SUCCESSION_TEST = 'test/operator/plan/succession.test.ts'
const FLEET_TEST = 'test/operator/plan/fleet.test.ts'
const HALTS_TEST = 'test/operator/plan/halts.test.ts'
const LOSS_TEST = 'test/operator/plan/loss.test.ts'

export const PLAN: readonly Mutation[] = [
  {
    name: 'a pod is deleted with its backlog',
    why: 'whatever it has not shipped, or cannot within its grace, is gone with its volume',
    file: RETIRE,
    find: "askToDrain(world, draft, pod, holdsTheSame ? 'discard' : 'true', why, needs)",
    replace: "remove(draft, pod, holdsTheSame ? 'discarded' : 'drained', why, needs)",
    test: {
      file: SUCCESSION_TEST,
      name: 'an old pod that does not run is asked to drain when its successor is live, and not before',
    },
  },
  {
    name: 'the cache is believed about the successor',
    why: 'the last live pod goes for a successor that is dead by now',
    file: NEEDS,
    find: 'return live && active ? undefined :',
    replace: 'return live || !live ? undefined :',
    test: {
      file: FLEET_TEST,
      name: 'a successor that is live no more, drains, or is another pod forbids the delete',
    },
  },
  {
    name: 'a pod that has started counts as one that never did',
    why: 'it is thrown away with all that it captured since the cache looked',
    file: NEEDS,
    find: "return view.neverStarted ? undefined : 'its container has started'",
    replace: 'return undefined',
    test: {
      file: FLEET_TEST,
      name: 'a pod that has started is not thrown away, and one that is live again does not step back',
    },
  },
  {
    name: 'no breaker',
    why: 'a fault of the exchange starts a storm of pods on top',
    file: BREAKER,
    find: 'if (halting >= enough && halting > (worst?.halting ?? 0))',
    replace: 'if (halting < 0)',
    test: {
      file: HALTS_TEST,
      name: 'a third of the pods halting alike on several nodes is the exchange: nothing is replaced',
    },
  },
  {
    name: 'starts of other captures are not counted',
    why: 'fifty captures start at once, and the address is banned',
    file: PACING,
    find: ".filter((pod) => pod.exchange === exchange && pod.ref.uid !== '')",
    replace: '.filter((pod) => pod.exchange === exchange && pod.ref.uid === exchange)',
    test: { file: FLEET_TEST, name: 'counts pods of every capture of the exchange by their age' },
  },
  {
    name: 'a pod that was live and refuses its configuration holds nothing',
    why: 'an image that was moved under its tag throws away what the one before recorded',
    file: 'operator/plan/ends.ts',
    find: 'if (end?.reason !== CONFIG_INVALID || !neverLive) return false',
    replace: 'if (end?.reason !== CONFIG_INVALID) return false',
    test: {
      file: LOSS_TEST,
      name: 'a pod that was live and now refuses its configuration holds what it recorded: it drains, and is succeeded by name',
    },
  },
  {
    name: 'a pod that was lost with its node is forgotten before another is there',
    why: 'its successor knows of no pod before it, and doubles what that one still publishes',
    file: 'operator/plan/retire.ts',
    find: 'if (!succeeded) return',
    replace: '',
    test: {
      file: LOSS_TEST,
      name: 'a pod lost with its node, without a report: its end is its last change, it is succeeded by name, and the loss is told',
    },
  },
  {
    name: 'any orphan with our labels is one of ours',
    why: "somebody's debugging copy is taken over and deleted",
    file: 'operator/plan/ownership.ts',
    find: "owner === '' && symbol !== '' && pod.spec?.containers.some(({ name }) => name === CONTAINER_NAME) === true",
    replace: "owner === ''",
    test: {
      file: FLEET_TEST,
      name: 'a debugging copy under our labels, without an owner, a symbol or a capture in it, is let alone and told',
    },
  },
  {
    name: 'a pod whose node wiped its word on the container never ran',
    why: 'a day of records goes without a word, and nobody is told',
    file: 'operator/plan/pods.ts',
    find: 'return pod.refusedByNode && nowMs - boundMs < REFUSED_AT_BIRTH_MS',
    replace: 'return pod.refusedByNode && boundMs > 0',
    test: {
      file: LOSS_TEST,
      name: 'a pod that its node took back after a day, its word on the container wiped: it holds what it recorded',
    },
  },
  {
    name: 'a drained pod is deleted whatever it says by then',
    why: 'a container that began again goes with what it has recorded since',
    file: NEEDS,
    find: "return isDrained(view.end) ? undefined : 'it does not report that it is drained'",
    replace: 'return undefined',
    test: { file: LOSS_TEST, name: 'a drained pod is deleted only while it says that it is drained' },
  },
]
