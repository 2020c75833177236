import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { WorkQueue } from '../../../operator/kube/mod.ts'
import { SEED } from '../../exchange/seed.ts'
import { Counts } from './counts.ts'
import { settle, VirtualSystem } from './virtual.ts'

function fresh(): { queue: WorkQueue; system: VirtualSystem; counts: Counts } {
  const system = new VirtualSystem()
  const counts = new Counts()
  return { queue: new WorkQueue({ name: 'q', system, meter: counts }), system, counts }
}

describe('work queue', () => {
  it('a key that is added many times waits once', async () => {
    const { queue, counts } = fresh()
    for (let times = 0; times < 5; times++) queue.add('a')
    queue.add('b')
    assert.equal(queue.length, 2)
    assert.equal(await queue.get(), 'a')
    assert.equal(await queue.get(), 'b')
    assert.equal(queue.length, 0)
    assert.equal(counts.of('workqueue_adds_total', 'q'), 2)
  })

  it('a key that is added while it is processed is processed once more, and not at the same time', async () => {
    const { queue } = fresh()
    queue.add('a')
    assert.equal(await queue.get(), 'a')
    queue.add('a')
    queue.add('a')
    assert.equal(queue.length, 0, 'it waits for its own end')
    let second: string | undefined
    void queue.get().then((key) => {
      second = key
    })
    await settle()
    assert.equal(second, undefined)
    queue.done('a')
    await settle()
    assert.equal(second, 'a')
    queue.done('a')
    assert.equal(queue.length, 0)
  })

  it('of several delayed adds the soonest counts', async () => {
    const { queue, system } = fresh()
    queue.addAfter('a', 1000)
    queue.addAfter('a', 300)
    queue.addAfter('a', 2000)
    await system.advance(299)
    assert.equal(queue.length, 0)
    await system.advance(1)
    assert.equal(queue.length, 1)
    assert.equal(await queue.get(), 'a')
    queue.done('a')
    await system.advance(10_000)
    assert.equal(queue.length, 0, 'the later ones are gone')
  })

  it('failures in a row wait 5 ms, doubling up to 60 s, and one success ends the row', async () => {
    const { queue, system, counts } = fresh()
    for (let failures = 0; failures < 20; failures++) {
      queue.addRateLimited('a')
      await system.advance(60_000)
      assert.equal(await queue.get(), 'a')
      queue.done('a')
    }
    assert.deepEqual(system.delaysMs.slice(0, 5), [5, 10, 20, 40, 80])
    assert.equal(Math.max(...system.delaysMs), 60_000)
    assert.equal(queue.failures('a'), 20)
    queue.forget('a')
    queue.addRateLimited('a')
    assert.equal(system.delaysMs.at(-1), 5)
    assert.equal(counts.of('workqueue_retries_total', 'q'), 21)
  })

  it('drain: what waits and what is under way is finished, delayed and new keys are not taken', async () => {
    const { queue } = fresh()
    queue.add('under way')
    queue.add('waits')
    assert.equal(await queue.get(), 'under way')
    queue.addAfter('later', 10)
    let drained = false
    void queue.drain().then(() => {
      drained = true
    })
    queue.add('new')
    assert.equal(queue.delayed, 0)
    assert.equal(await queue.get(), 'waits')
    queue.done('waits')
    await settle()
    assert.equal(drained, false)
    queue.done('under way')
    await settle()
    assert.equal(drained, true)
    assert.equal(await queue.get(), undefined)
  })

  it('drain: a key that was added again while it was processed is processed once more', async () => {
    const { queue } = fresh()
    queue.add('a')
    await queue.get()
    queue.add('a')
    const drained = queue.drain()
    queue.done('a')
    assert.equal(await queue.get(), 'a')
    queue.done('a')
    await drained
  })

  it('workers that wait are told of the end', async () => {
    const { queue } = fresh()
    const waiting = [queue.get(), queue.get()]
    queue.shutDown()
    assert.deepEqual(await Promise.all(waiting), [undefined, undefined])
  })

  it('says how long keys waited, how long work takes, and what is under way', async () => {
    const { queue, system, counts } = fresh()
    queue.add('a')
    queue.add('b')
    await system.advance(2_000)
    await queue.get()
    await system.advance(3_000)
    await queue.get()
    await system.advance(1_000)
    assert.equal(queue.unfinishedSeconds(), 5)
    assert.equal(queue.longestRunningSeconds(), 4)
    queue.done('a')
    assert.deepEqual(counts.observed('workqueue_queue_duration_seconds'), [2, 5])
    assert.deepEqual(counts.observed('workqueue_work_duration_seconds'), [4])
  })

  it('property: never the same key twice at once, and every add is followed by a look', async () => {
    const key = fc.constantFrom('a', 'b', 'c')
    const step = fc.oneof(
      fc.record({ do: fc.constant('add' as const), key }),
      fc.record({ do: fc.constant('later' as const), key, ms: fc.integer({ min: 0, max: 500 }) }),
      fc.record({ do: fc.constant('failed' as const), key }),
      fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 300 }) }),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 60 }),
        fc.array(fc.integer({ min: 0, max: 200 }), { minLength: 1 }),
        async (steps, workMs) => {
          const { queue, system } = fresh()
          const running = new Set<string>()
          const owed = new Set<string>()
          let looks = 0
          const worker = async () => {
            for (let next = await queue.get(); next !== undefined; next = await queue.get()) {
              assert.ok(!running.has(next), `${next} is processed twice at once`)
              running.add(next)
              owed.delete(next)
              const ms = workMs[looks++ % workMs.length] ?? 0
              await new Promise<void>((resolve) => system.timers.after(ms, resolve))
              running.delete(next)
              queue.done(next)
            }
          }
          const workers = [worker(), worker(), worker()]
          for (const one of steps) {
            if (one.do === 'pass') await system.advance(one.ms)
            else {
              owed.add(one.key)
              if (one.do === 'add') queue.add(one.key)
              else if (one.do === 'later') queue.addAfter(one.key, one.ms)
              else queue.addRateLimited(one.key)
            }
          }
          await system.advance(200_000)
          assert.deepEqual([...owed], [], 'keys that nobody looked at')
          const drained = queue.drain()
          await system.advance(1_000)
          await Promise.all([drained, ...workers])
        },
      ),
      { seed: SEED, numRuns: 100 },
    )
  })
})
