import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DiskRoom, type DiskSize } from '../../capture/process/room.ts'

const LIMIT = 1_000_000

/** A spool and a file system of given sizes, and a clock. */
class Place {
  spoolBytes = 0
  /** All of it, unless told otherwise. */
  unshippedBytes: number | undefined
  walks = 0
  nowMs = 0
  freed = 0
  canAllocate = true
  readonly proofs: number[] = []
  disk: DiskSize = { bsize: 1, blocks: 1000, bfree: 1000, bavail: 1000 }
  readonly room = new DiskRoom({
    directory: '/spool',
    sizeLimitBytes: LIMIT,
    reserve: {
      allocate: async (proofBytes = 0) => {
        this.proofs.push(proofBytes)
        return this.canAllocate
      },
      release: async () => true,
    },
    usage: async () => {
      this.walks++
      return { bytes: this.spoolBytes, unshippedBytes: this.unshippedBytes ?? this.spoolBytes }
    },
    rotationSeconds: 30,
    onHalfFull: (bytes) => {
      this.freed = bytes
    },
    nowMs: () => this.nowMs,
    statfs: async () => this.disk,
  })

  used(fraction: number): void {
    this.disk = { ...this.disk, bfree: 1000 - fraction * 1000, bavail: 1000 - fraction * 1000 }
  }

  /** A look a walk later. */
  look(): ReturnType<DiskRoom['look']> {
    this.nowMs += 10_000
    return this.room.look(0)
  }
}

describe('room of a spool', () => {
  it('the spool is full beyond 80 % of its limit, and free again below 70 % of that', async () => {
    const place = new Place()
    const states: [number, boolean, boolean][] = []
    for (const bytes of [799_999, 800_001, 799_000, 560_001, 559_999, 790_000]) {
      place.spoolBytes = bytes
      const { full, low } = await place.look()
      states.push([bytes, full !== '', low])
    }
    assert.deepEqual(states, [
      [799_999, false, true],
      [800_001, true, false],
      [799_000, false, false],
      [560_001, false, false],
      [559_999, false, true],
      [790_000, false, true],
    ])
  })

  it('the file system is full beyond 90 % as df reckons, and free again below 85.5 %', async () => {
    const place = new Place()
    const states: [boolean, boolean][] = []
    for (const used of [0.9, 0.91, 0.89, 0.86, 0.85]) {
      place.used(used)
      const { full, low } = await place.look()
      states.push([full !== '', low])
    }
    assert.deepEqual(states, [
      [false, true],
      [true, false],
      [false, false],
      [false, false],
      [false, true],
    ])
    // blocks that are kept for root are no room of ours
    place.disk = { bsize: 1, blocks: 1000, bfree: 150, bavail: 50 }
    assert.match((await place.look()).full, /94 % full/)
  })

  it('the spool is walked every ten seconds; what is journalled in between counts, and never ends a run by itself', async () => {
    const place = new Place()
    place.spoolBytes = 700_000
    assert.equal((await place.room.look(50_000)).full, '')
    place.nowMs = 9_000
    assert.equal((await place.room.look(150_000)).full, '')
    assert.equal(place.walks, 1)
    // segments went meanwhile to make room
    place.spoolBytes = 600_000
    assert.equal((await place.room.look(150_001)).full, '')
    assert.equal(place.walks, 2)
    place.spoolBytes = 800_001
    assert.equal((await place.room.look(350_001)).full, '')
    assert.match((await place.room.look(350_002)).full, /the spool holds 800001 bytes, its cap is 800000/)
    assert.equal(place.walks, 3)
    place.spoolBytes = 100_000
    place.nowMs = 10_000
    assert.equal((await place.room.look(360_000)).low, true)
    assert.equal(place.walks, 4)
  })

  it('beyond half of the cap segments of sealed windows may go: it says how many bytes are too many', async () => {
    const place = new Place()
    place.spoolBytes = 400_000
    await place.look()
    assert.equal(place.freed, 0)
    place.spoolBytes = 450_000
    await place.look()
    assert.equal(place.freed, 50_000)
  })

  it('after a full disk that no mark showed room is proven by taking it', async () => {
    const place = new Place()
    assert.equal(await place.room.allocate(), true)
    await place.room.release()
    place.canAllocate = false
    assert.equal(await place.room.allocate(), false)
    place.canAllocate = true
    assert.equal(await place.room.allocate(), true)
    assert.equal(await place.room.allocate(), true)
    const proof = 4 * 1024 * 1024
    assert.deepEqual(place.proofs, [0, proof, proof, 0])
  })

  it('seconds until full: what goes when room is needed counts for nothing, and a first value comes after ten seconds', async () => {
    const place = new Place()
    place.disk = { bsize: 1000, blocks: 1_000_000, bfree: 1_000_000, bavail: 1_000_000 }
    place.spoolBytes = 400_000
    place.unshippedBytes = 100_000
    await place.look()
    assert.equal(place.room.secondsUntilFull, Number.POSITIVE_INFINITY)
    place.unshippedBytes = 101_000
    await place.look()
    assert.equal(Math.round(place.room.secondsUntilFull), 6990)
    // segments are thinned, or journals grow that are sealed already: nothing that is held changes
    place.spoolBytes = 500_000
    await place.look()
    assert.equal(Math.round(place.room.secondsUntilFull), 13_980)
    // all was shipped
    place.unshippedBytes = 0
    await place.look()
    assert.equal(place.room.secondsUntilFull, Number.POSITIVE_INFINITY)
  })

  it('seconds until full follow the rate of the last two rotations, in which a window shrinks when it is sealed', async () => {
    const place = new Place()
    place.disk = { bsize: 1000, blocks: 1_000_000, bfree: 1_000_000, bavail: 1_000_000 }
    // 30 s of 300 bytes each, of which 100 stay
    for (let second = 0; second <= 120; second += 10) {
      place.nowMs = second * 1000
      place.spoolBytes = Math.floor(second / 30) * 3000 + (second % 30) * 300
      await place.room.look(0)
    }
    assert.equal(Math.round(place.room.secondsUntilFull), 7880)
  })

  it('seconds until full follow what is journalled since, and end at 0', async () => {
    const place = new Place()
    place.disk = { bsize: 1000, blocks: 1_000_000, bfree: 1_000_000, bavail: 1_000_000 }
    for (let second = 0; second <= 60; second++) {
      place.nowMs = second * 1000
      place.spoolBytes = second * 1000
      await place.room.look(place.spoolBytes)
    }
    assert.ok(Math.abs(place.room.secondsUntilFull - 740) < 1, `${place.room.secondsUntilFull} s`)
    place.spoolBytes = 900_000
    await place.look()
    assert.equal(place.room.secondsUntilFull, 0)
  })
})
