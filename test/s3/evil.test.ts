/** Every fault of the evil store: nothing local goes before its manifest was read back, and in the end all is there. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { RequestCounts, Requests, ShipCounts } from '../../capture/ship/mod.ts'
import { EVIL_CASES, type Told } from './evil/cases.ts'
import { FAULT_KINDS, type FaultKind, RETRY_AFTER_S } from './evil/faults.ts'
import { type EvilScene, evilScene } from './evil/scene.ts'
import { snapshotOf } from './shipping.ts'

const WINDOWS = 2
const TRIES = 2
const RUNS = 12
/** In a random storm every request has this chance of a fault. */
const FAULT_CHANCE = 0.3
/** Tests that mostly wait for deadlines. */
const AT_ONCE = 6
const IN_TIME = { timeout: 1_200_000 }

async function assertEnd({ store, shipping, truth, requests }: EvilScene): Promise<void> {
  await shipping.assertShipped(truth)
  // whom the store did not even accept sent nothing that it could count
  const isUnseen = [...store.fired.keys()].some((kind) => kind.endsWith('_accept'))
  if (!isUnseen) assert.equal(sum(outcomesOf(requests)), store.taken, 'each request was counted once')
  assert.deepEqual(store.complaints, [])
  const told = JSON.stringify(shipping.states) + shipping.logged.join()
  assert.ok(!told.includes(store.secretKey) && !told.includes('Signature='), 'no credential is told')
}

type Outcomes = RequestCounts['ended']['put']

/** Of all operations together. */
function outcomesOf({ counts: { ended } }: Requests): Outcomes {
  const add = (a: Outcomes, b: Outcomes): Outcomes => ({
    ok: a.ok + b.ok,
    absent: a.absent + b.absent,
    error: a.error + b.error,
    unanswered: a.unanswered + b.unanswered,
  })
  return Object.values(ended).reduce(add)
}

function sum({ ok, absent, error, unanswered }: Outcomes): number {
  return ok + absent + error + unanswered
}

/** The counters and the reason must agree on what it was, while it lasts. */
function assertTold({ shipping, requests }: EvilScene, told: Told | undefined): void {
  const { failures, failuresByClass } = shipping.shipper.counts
  assert.equal(failures, told === undefined ? 0 : TRIES, 'each try of the fault failed')
  const expected: ShipCounts['failuresByClass'] = {
    ...{ transient: 0, clock: 0, credential: 0, configuration: 0, integrity: 0 },
    ...(told === undefined ? {} : { [told.class]: failures }),
  }
  assert.deepEqual(failuresByClass, expected)
  assert.deepEqual(shipping.codes, told === undefined ? [] : [told.code])
  const { state, reason } = shipping.shipper.state
  if (told !== undefined) assert.deepEqual([state, reason?.split(':')[0]], ['waiting', told.code])
  const { error, unanswered } = outcomesOf(requests)
  const isSilent = told?.code === 'Timeout' || told?.code === 'ConnectionFailed'
  assert.equal(unanswered, isSilent ? failures : 0)
  // what is stored or lost unsaid shows in no reply
  if (told !== undefined && told.class !== 'integrity') assert.ok(isSilent ? error === 0 : error >= failures)
  // an answer that is no object of the store's is not taken for one that somebody else wrote
  const isTaken = shipping.logged.some((line) => line.includes('it is written over'))
  assert.ok(!isTaken || told?.class === 'integrity', `${shipping.logged}`)
}

describe('an evil store', { concurrency: AT_ONCE }, () => {
  for (const { name, kind, target, told } of EVIL_CASES) {
    test(
      `${name}: nothing goes before it is proven, then everything is committed once`,
      IN_TIME,
      async (t) => {
        const scene = await evilScene(t, { windows: WINDOWS })
        const { store, shipping } = scene
        const before = await snapshotOf(shipping.spool.directory)
        store.inject(kind, target)
        await shipping.tries(TRIES)
        assert.ok((store.fired.get(kind) ?? 0) > 0, 'the fault was carried out')
        assert.deepEqual([...store.fired.keys()], [kind])
        assertTold(scene, told)
        // a reply that was lost may have been that of the commit itself: then the next try found it
        if (shipping.dropped.length === 0)
          assert.deepEqual(await snapshotOf(shipping.spool.directory), before)
        store.heal()
        await shipping.finish()
        await assertEnd(scene)
      },
    )
  }

  test('a SlowDown with Retry-After: nothing is asked before it has passed', IN_TIME, async (t) => {
    const scene = await evilScene(t, { windows: 1, random: () => 0 })
    scene.store.inject('slow_down', { times: 5 })
    await scene.shipping.finish()
    assert.equal(scene.store.fired.get('slow_down'), 5)
    const delays = scene.shipping.timers.delays.slice(0, 5)
    assert.ok(
      delays.every((delayMs) => delayMs >= RETRY_AFTER_S * 1000),
      `${delays}`,
    )
    await assertEnd(scene)
  })

  test(
    'rights are revoked in the middle of a window and come back: it goes on, and says so meanwhile',
    IN_TIME,
    async (t) => {
      const scene = await evilScene(t, { windows: WINDOWS })
      const { store, shipping } = scene
      store.inject('access_denied', { operation: 'put', keys: /manifest/ })
      await shipping.tries(TRIES)
      assert.equal(shipping.shipper.state.state, 'waiting')
      assert.match(shipping.shipper.state.reason ?? '', /^AccessDenied: .*s3:PutObject/)
      assert.equal(shipping.shipper.state.waitingWindows, WINDOWS)
      store.heal()
      await shipping.finish()
      assert.equal(shipping.shipper.state.reason, null)
      await assertEnd(scene)
    },
  )

  test('the bucket is deleted with half a window in it, and made again empty', IN_TIME, async (t) => {
    const scene = await evilScene(t, { windows: WINDOWS })
    const { store, shipping } = scene
    store.inject('no_bucket', { operation: 'put', keys: /manifest/ })
    await shipping.tries(1)
    assert.ok(store.objects.keys.length > 0, 'objects were there')
    store.inject('no_bucket')
    store.objects.clear()
    await shipping.tries(TRIES)
    assert.match(shipping.shipper.state.reason ?? '', /^NoSuchBucket: /)
    store.heal()
    await shipping.finish()
    await assertEnd(scene)
  })

  test(
    'a manifest that was committed is found again when its reply was lost, and not written once more',
    IN_TIME,
    async (t) => {
      const scene = await evilScene(t, { windows: 1 })
      const { store, shipping } = scene
      store.inject('reset_reply', { operation: 'put', keys: /manifest/, times: 1 })
      await shipping.finish()
      const [key = ''] = shipping.manifestKeys
      assert.equal(store.objects.puts.get(`cap/${key}`), 1)
      assert.deepEqual(shipping.shipper.counts, {
        ...shipping.shipper.counts,
        committed: 0,
        already: 1,
        failures: 1,
      })
      await assertEnd(scene)
    },
  )
})

test('any faults in any order: nothing goes before it is proven, then everything is committed once', async (t) => {
  const seed = Number(process.env.FC_SEED ?? Date.now() % 2 ** 31)
  t.diagnostic(`FC_SEED=${seed}`)
  // Silence costs its deadline each time: the cases above have every stage of it. And where an old read shows what an
  // earlier put had stored well, while the last one was cut, two lies make a truth that nobody can see through.
  const quick = FAULT_KINDS.filter((kind) => !kind.startsWith('hang_') && kind !== 'get_old')
  const storm = fc.infiniteStream(
    fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(...quick)),
  )
  let failures = 0
  const fired = new Set<FaultKind>()
  await fc.assert(
    fc.asyncProperty(storm, fc.integer({ min: 1, max: 3 }), async (faults, windows) => {
      const cleanUp: (() => Promise<void>)[] = []
      const scene = await evilScene({ after: (work) => void cleanUp.push(work) }, { windows })
      try {
        await weather(scene, faults)
        failures += scene.shipping.shipper.counts.failures
        for (const kind of scene.store.fired.keys()) fired.add(kind)
      } finally {
        for (const work of cleanUp.reverse()) await work()
      }
    }),
    { seed, numRuns: RUNS },
  )
  t.diagnostic(`${failures} failures by ${fired.size} kinds of fault`)
  assert.ok(failures > RUNS && fired.size > quick.length / 2, 'it was a storm')
})

/** Ships under faults drawn anew for each try, until the store has had its fun. */
async function weather(scene: EvilScene, faults: Iterator<readonly [number, FaultKind]>): Promise<void> {
  const { store, shipping } = scene
  for (let tries = 0; tries < 12 && !shipping.isIdle; tries++) {
    store.heal()
    for (let i = 0; i < 3; i++) {
      const [chance, kind] = faults.next().value ?? [1, 'unavailable']
      if (chance < FAULT_CHANCE || i === 0) store.inject(kind, { times: 1 + Math.floor(chance * 3) })
    }
    await shipping.tries(1)
  }
  store.heal()
  await shipping.finish()
  await assertEnd(scene)
}
