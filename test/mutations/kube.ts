/** What keeps the operator's view true and its writes its own: reflector, store, queue, elector, fence. */
import type { Mutation } from './mutation.ts'

const CONNECTION = 'operator/kube/connection.ts'
const ELECTOR = 'operator/kube/elector.ts'
const LIST = 'operator/kube/list.ts'
const QUEUE = 'operator/kube/workqueue.ts'
const REFLECTOR = 'operator/kube/reflector.ts'
const REST = 'operator/kube/rest.ts'
const STORE = 'operator/kube/store.ts'
const WATCH = 'operator/kube/watch.ts'

const ELECTOR_TEST = 'test/operator/kube/elector.test.ts'
const QUEUE_TEST = 'test/operator/kube/workqueue.test.ts'
const REFLECTOR_TEST = 'test/operator/kube/reflector.test.ts'
const REST_TEST = 'test/operator/kube/rest.test.ts'
const STORE_TEST = 'test/operator/kube/store.test.ts'

export const KUBE: readonly Mutation[] = [
  {
    name: 'a renewal counts from its answer',
    why: 'a slow answer lengthens a term beyond what others wait: two operators write',
    file: ELECTOR,
    find: 'this.#renewedAt = sentAt',
    replace: 'this.#renewedAt = this.#now()',
    test: {
      file: ELECTOR_TEST,
      name: 'property: under any delays, losses, pauses and clock steps never two may write',
    },
  },
  {
    name: 'a leader believes in itself',
    why: 'a leader that was stopped goes on writing where another one leads',
    file: ELECTOR,
    find: 'return this.#leads && this.#sinceRenewalMs() < this.#times.renewDeadlineMs',
    replace: 'return this.#leads',
    test: {
      file: ELECTOR_TEST,
      name: 'a leader stopped by SIGSTOP may not write when it comes back, before any timer of its own fires',
    },
  },
  {
    name: "others' clocks are believed",
    why: 'a clock that is wrong by more than a lease takes it from a leader that is well',
    file: ELECTOR,
    find: 'return this.#system.clock.monotonicMs() - this.#observedAtMs > lastsMs',
    replace: 'return this.#system.clock.wallMs() - Date.parse(record.renewedAt) > lastsMs',
    test: { file: ELECTOR_TEST, name: 'a wall clock that steps changes nothing' },
  },
  {
    name: 'a Lease that is deleted is free',
    why: 'who finds no lease takes it, while its holder still writes',
    file: ELECTOR,
    find: '!this.#hasRunOut(known)',
    replace: 'exists && !this.#hasRunOut(known)',
    test: {
      file: ELECTOR_TEST,
      name: 'a Lease that somebody deletes is taken by nobody else while its holder may believe in it',
    },
  },
  {
    name: 'nobody asks the fence',
    why: 'a write that waited for a socket goes out after the lease is lost',
    file: CONNECTION,
    find: 'if (!this.#fence()) throw fencedError()',
    replace: '',
    test: {
      file: REST_TEST,
      name: 'the fence is asked at the instant of a write: nothing is sent, and reads go on',
    },
  },
  {
    name: 'writes are tried again',
    why: 'a write whose answer was lost is done twice',
    file: REST,
    find: "const again = call.method === 'GET' && tries",
    replace: 'const again = tries',
    test: { file: REST_TEST, name: 'a write whose answer is lost is not repeated' },
  },
  {
    name: 'a list may be old',
    why: 'a server that lags behind shows pods that are gone, and hides those that are there',
    file: LIST,
    find: 'continue: token }',
    replace: 'continue: token, resourceVersion: 0 }',
    test: { file: REST_TEST, name: 'lists: all pages, of one moment, from a quorum' },
  },
  {
    name: 'a lost history is no reason to list',
    why: 'what happened meanwhile is never seen',
    file: REFLECTOR,
    find: 'if (isGone(error)) this.#version = undefined',
    replace: '',
    test: { file: REFLECTOR_TEST, name: '410 as an event in the stream: lists anew' },
  },
  {
    name: 'a silent watch is trusted',
    why: 'a half-open socket hides the cluster until the operator is restarted',
    file: WATCH,
    find: 'let cancel = timers.after(call.idleMs, () => idle.abort())',
    replace: 'let cancel = () => {}',
    test: { file: REFLECTOR_TEST, name: 'half-open: a watch that is silent for too long is opened anew' },
  },
  {
    name: 'a late event counts',
    why: 'a pod that is deleted is back in the view, and is taken for the live one',
    file: STORE,
    find: 'if (goneAt !== undefined && !isNewer(identity.version, goneAt)) return undefined',
    replace: '',
    test: { file: STORE_TEST, name: 'a late event does not bring back what was deleted' },
  },
  {
    name: 'a recreation is a change',
    why: 'state that is kept for a pod is taken over by another of its name',
    file: STORE,
    find: 'if (named !== undefined && named.identity.uid !== identity.uid) {',
    replace: 'if (false) {',
    test: {
      file: STORE_TEST,
      name: 'delete and recreate under one name: a deletion and an addition, by watch and by list',
    },
  },
  {
    name: 'a key may be processed twice at once',
    why: 'two reconciles of one L2Capture create the same pod twice',
    file: QUEUE,
    find: 'if (!this.#processingSinceMs.has(key)) this.#offer(key)',
    replace: 'this.#offer(key)',
    test: {
      file: QUEUE_TEST,
      name: 'a key that is added while it is processed is processed once more, and not at the same time',
    },
  },
  {
    name: "all of a capture's events share one allowance",
    why: 'the start of many pods hides the halt that follows it: nobody is told',
    file: 'operator/kube/event-series.ts',
    find: 'const key = JSON.stringify(subjectOf(intent))',
    replace: 'const key = keyOfReference(intent.regarding)',
    test: {
      file: 'test/operator/kube/events.test.ts',
      name: 'no event is starved by those of another reason or pod: a halt of thirty new symbols is told',
    },
  },
  {
    name: 'an elector that does not run yet is judged',
    why: 'an operator that waits for the API server or its rights is killed again and again',
    file: ELECTOR,
    find: 'this.#attemptedAtMs ?? nowMs',
    replace: 'this.#attemptedAtMs ?? 0',
    test: {
      file: 'test/operator/livez.test.ts',
      name: 'who waits for its rights is not stuck, however long that takes',
    },
  },
  {
    name: 'a look has no end',
    why: 'a slow API server and many pods: the status stands still, and the operator is killed at its work',
    file: 'operator/reconciler.ts',
    find: 'this.#options.now() - startedMs >= ACTING_MS_MAX',
    replace: 'false',
    test: {
      file: 'test/operator/reconciler.test.ts',
      name: 'a look that takes long tells what is so, and goes on at once with another one',
    },
  },
  {
    name: 'what is refused ends the look',
    why: 'a policy on one pod keeps all others from being drained or replaced',
    file: 'operator/reconciler.ts',
    find: 'if (isRefusal(error)) {',
    replace: "if (isRefusal(error) && action.kind === 'create') {",
    test: {
      file: 'test/operator/reconciler.test.ts',
      name: 'a pod that may not be annotated (403) holds up no other, and is told by its name',
    },
  },
  {
    name: 'who finds all askers waiting loses its turn',
    why: 'pods that hang hide the states of others',
    file: 'operator/poller.ts',
    find: 'this.#busy.size < AT_ONCE ? this.#queue.shift() : undefined',
    replace: 'this.#queue.splice(0, 1).find(() => this.#busy.size < AT_ONCE)',
    test: {
      file: 'test/operator/poller.test.ts',
      name: 'pods that hang take no turn from the others: whose turn comes while all askers wait is asked later',
    },
  },
]
