import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ELECTOR_TIMES, Elector, electorTimes, KubeError } from '../../../operator/kube/mod.ts'
import { microTime } from '../../../operator/kube/time.ts'
import { SEED } from '../../exchange/seed.ts'
import { LeaseWorld, type Member } from './lease-world.ts'
import { randomOf } from './random.ts'

const GOOD = { delayMsMax: 20, loss: 0 }
const MINUTE_MS = 60_000

async function led(count: number): Promise<{ world: LeaseWorld; leader: Member; others: Member[] }> {
  const world = new LeaseWorld(randomOf(7), GOOD)
  for (let index = 0; index < count; index++) world.join(`member-${index}`, index * 1_000_000)
  await world.run(10_000)
  const leader = world.members.find((member) => member.elector.mayWrite())
  assert.ok(leader !== undefined, 'somebody leads after 10 s')
  return { world, leader, others: world.members.filter((member) => member !== leader) }
}

describe('elector', () => {
  it('one of three leads, keeps leading, and the others know its name', async () => {
    const { world, leader, others } = await led(3)
    await world.run(10 * MINUTE_MS)
    assert.ok(leader.elector.mayWrite())
    for (const other of others) {
      assert.equal(other.elector.isLeader, false)
      assert.equal(other.elector.leader, world.stored?.record.holder)
    }
    assert.equal(world.stored?.record.transitions, 0)
    assert.deepEqual(world.violations, [])
  })

  it('a leader stopped by SIGSTOP may not write when it comes back, before any timer of its own fires', async () => {
    const { world, leader } = await led(1)
    world.nowMs += ELECTOR_TIMES.renewDeadlineMs
    assert.equal(leader.elector.mayWrite(), false)
    assert.equal(leader.elector.isLeader, true, 'it has not found out in any other way')
  })

  it('every lease of 3 to 3,600 s that an operator may be given is whole, and one that an elector takes', () => {
    const world = new LeaseWorld(randomOf(7), GOOD)
    const { system } = world.join('one', 0)
    const unused = async () => Promise.reject(new Error('no request is expected'))
    const leases = { read: unused, create: unused, replace: unused }
    for (let seconds = 3; seconds <= 3600; seconds++) {
      const times = electorTimes(seconds)
      assert.equal(times.leaseMs, seconds * 1000)
      assert.ok(Object.values(times).every(Number.isInteger), JSON.stringify(times))
      assert.ok(new Elector({ leases, identity: 'one', system, times }))
    }
    assert.deepEqual(electorTimes(15), ELECTOR_TIMES)
  })

  it('a machine that slept finds out by the boot clock, though the monotonic clock stood still', async () => {
    const { world, leader } = await led(1)
    world.nowMs += ELECTOR_TIMES.renewDeadlineMs
    leader.sleptMs += ELECTOR_TIMES.renewDeadlineMs
    assert.equal(leader.elector.mayWrite(), false)
  })

  it('a wall clock that steps changes nothing', async () => {
    const { world, leader, others } = await led(2)
    assert.equal(
      world.stored?.record.transitions,
      0,
      'clocks that differ from the start change nothing either',
    )
    for (const ms of [3_600_000, -86_400_000, 10_000]) {
      for (const member of world.members) member.wallOffsetMs += ms * (member === leader ? 1 : -1)
      await world.run(world.nowMs + MINUTE_MS)
      assert.ok(leader.elector.mayWrite())
      assert.ok(others.every((other) => !other.elector.isLeader))
    }
    assert.equal(world.stored?.record.transitions, 0)
  })

  it('a leader without an API server ends after the renew deadline, and says why', async () => {
    const { world, leader } = await led(1)
    world.network = { delayMsMax: 20, loss: 1 }
    await world.run(world.nowMs + ELECTOR_TIMES.renewDeadlineMs + 1_000)
    assert.equal(leader.ended, 'lost')
    assert.equal(leader.elector.mayWrite(), false)
  })

  it('one request that hangs does not cost the lease', async () => {
    const { world, leader } = await led(1)
    world.network = { delayMsMax: 20, loss: 1 }
    await world.run(world.nowMs + ELECTOR_TIMES.retryMs + 100)
    world.network = GOOD
    await world.run(world.nowMs + MINUTE_MS)
    assert.ok(leader.elector.mayWrite())
  })

  it('a dead leader is succeeded after the lease has run out, and not before', async () => {
    const { world, leader, others } = await led(2)
    const diedMs = world.nowMs
    world.pause(leader, 10 * MINUTE_MS, 'stopped')
    const { leaseMs, retryMs } = ELECTOR_TIMES
    await world.run(diedMs + leaseMs - retryMs - 100)
    assert.ok(others.every((other) => !other.elector.isLeader))
    await world.run(diedMs + leaseMs + 3 * retryMs)
    assert.ok(others.some((other) => other.elector.mayWrite()))
    assert.equal(world.stored?.record.transitions, 1)
  })

  it('a stopped leader gives the lease back: nobody waits for it to run out', async () => {
    const { world, leader, others } = await led(2)
    leader.stop.abort()
    assert.equal(leader.elector.mayWrite(), false, 'at once')
    await world.run(world.nowMs + 3 * ELECTOR_TIMES.retryMs)
    assert.equal(leader.ended, 'released')
    assert.ok(others.some((other) => other.elector.mayWrite()))
  })

  it('a stop during a renewal still gives the lease back', async () => {
    const { world, leader } = await led(1)
    world.network = { delayMsMax: 3_000, loss: 0 }
    const renewedAt = world.stored?.version
    while (world.stored?.version === renewedAt) await world.run(world.nowMs + 10)
    leader.stop.abort()
    await world.run(world.nowMs + MINUTE_MS)
    assert.equal(leader.ended, 'released')
    assert.equal(world.stored?.record.holder, '')
  })

  it('who never led and is stopped writes nothing', async () => {
    const { world, leader, others } = await led(2)
    const [other] = others
    other?.stop.abort()
    await world.run(world.nowMs + 1_000)
    assert.equal(other?.ended, 'stopped')
    assert.equal(world.stored?.record.holder, leader.elector.leader)
  })

  it('a Lease that somebody deletes is taken by nobody else while its holder may believe in it', async () => {
    const { world, leader, others } = await led(2)
    world.stored = undefined
    await world.run(world.nowMs + MINUTE_MS)
    assert.ok(leader.elector.mayWrite())
    assert.ok(others.every((other) => !other.elector.isLeader))
    assert.deepEqual(world.violations, [])
  })

  it('a Lease that somebody else takes over ends the leader', async () => {
    const { world, leader } = await led(1)
    const stored = world.stored
    assert.ok(stored !== undefined)
    world.stored = { version: '999', record: { ...stored.record, holder: 'kubectl' } }
    await world.run(world.nowMs + 3 * ELECTOR_TIMES.retryMs)
    assert.equal(leader.ended, 'lost')
  })

  it("the holder's own duration counts where it is longer than ours", async () => {
    const world = new LeaseWorld(randomOf(7), GOOD)
    const at = microTime(0)
    const record = { holder: 'older', seconds: 60, acquiredAt: at, renewedAt: at, transitions: 3 }
    world.stored = { version: '1', record }
    const member = world.join('newer', 0)
    await world.run(55_000)
    assert.equal(member.elector.isLeader, false)
    await world.run(66_000)
    assert.equal(member.elector.isLeader, true)
    assert.equal(world.stored.record.transitions, 4)
  })

  it('refuses times with which two could lead', () => {
    const world = new LeaseWorld(randomOf(7), GOOD)
    const { system } = world.join('any', 0)
    const leases = world.leases(world.members[0] as Member)
    for (const times of [
      { leaseMs: 10_000, renewDeadlineMs: 10_000, retryMs: 2_000 },
      { leaseMs: 15_000, renewDeadlineMs: 4_000, retryMs: 2_000 },
      { leaseMs: 15_500, renewDeadlineMs: 10_000, retryMs: 2_000 },
    ]) {
      assert.throws(() => new Elector({ leases, identity: 'x', system, times }), KubeError)
    }
  })

  it('writes times as the API server wants them: six digits', () => {
    assert.equal(microTime(Date.parse('2026-11-22T12:00:00.045Z')), '2026-11-22T12:00:00.045000Z')
  })

  it('property: under any delays, losses, pauses and clock steps never two may write', async () => {
    const who = fc.integer({ min: 0, max: 2 })
    const atMs = fc.integer({ min: 0, max: 180_000 })
    const pause = fc.record({
      who,
      atMs,
      forMs: fc.integer({ min: 1, max: 40_000 }),
      kind: fc.constantFrom('stopped' as const, 'asleep' as const),
    })
    const step = fc.record({ who, atMs, byMs: fc.integer({ min: -100_000, max: 100_000 }) })
    const network = fc.record({
      delayMsMax: fc.constantFrom(5, 500, 4_000, 12_000, 30_000),
      loss: fc.constantFrom(0, 0, 0.1, 0.4),
    })
    let terms = 0
    await fc.assert(
      fc.asyncProperty(
        fc.integer(),
        network,
        fc.array(pause, { maxLength: 12 }),
        fc.array(step, { maxLength: 6 }),
        async (seed, between, pauses, steps) => {
          const world = new LeaseWorld(randomOf(seed), between)
          for (const index of [0, 1, 2]) world.join(`member-${index}`, index * 5_000_000)
          for (const { who, atMs, forMs, kind } of pauses) {
            world.at(atMs, () => world.pause(world.members[who] as Member, forMs, kind))
          }
          for (const { who, atMs, byMs } of steps) {
            world.at(atMs, () => {
              const member = world.members[who]
              if (member !== undefined) member.wallOffsetMs += byMs
            })
          }
          await world.run(240_000)
          terms += world.stored?.record.transitions ?? 0
          assert.deepEqual(world.violations, [])
        },
      ),
      { seed: SEED, numRuns: 150 },
    )
    assert.ok(terms > 20, `the lease went to others, ${terms} times in all`)
  })
})
