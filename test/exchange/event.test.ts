import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DepthEvent, LevelBuffer, Snapshot } from '../../capture/exchange/mod.ts'
import { numbers } from './oracle.ts'
import { SEED } from './seed.ts'

test('level buffers: hold what was pushed, whatever room they began with, and copies are their own', () => {
  const level = fc.tuple(fc.double({ noNaN: true }), fc.double({ noNaN: true }))
  fc.assert(
    fc.property(fc.nat(3), fc.array(level, { maxLength: 300, size: 'max' }), (room, levels) => {
      const buffer = new LevelBuffer(room)
      buffer.push(1, 2)
      buffer.clear()
      for (const [price, qty] of levels) buffer.push(price, qty)
      assert.equal(buffer.length, levels.length)
      assert.deepEqual(numbers(buffer), levels.flat())
      const copy = buffer.copy()
      assert.equal(copy.data.length, levels.length * 2)
      buffer.clear()
      buffer.push(7, 7)
      assert.deepEqual(numbers(copy), levels.flat())
      copy.push(8, 9)
      assert.deepEqual(numbers(copy), [...levels.flat(), 8, 9])
    }),
    { seed: SEED, numRuns: 100 },
  )
})

test('copies: of events and snapshots keep every field, and share nothing', () => {
  const event = new DepthEvent()
  Object.assign(event, { previousId: 1n, firstId: 2n, finalId: 3n, eventTime: 4, transactionTime: 5 })
  event.bids.push(6, 7)
  event.asks.push(8, 9)
  const snapshot = new Snapshot()
  Object.assign(snapshot, { id: 1n, eventTime: 2, transactionTime: 3, limit: 4 })
  snapshot.bids.push(5, 6)
  snapshot.asks.push(7, 8)
  for (const original of [event, snapshot]) {
    const copy = original.copy()
    for (const [key, value] of Object.entries(original)) {
      if (!(value instanceof LevelBuffer))
        assert.equal(Object.entries(copy).find(([name]) => name === key)?.[1], value)
    }
    const before = [numbers(copy.bids), numbers(copy.asks)]
    original.bids.data[0] = 99
    original.asks.clear()
    assert.deepEqual([numbers(copy.bids), numbers(copy.asks)], before)
    assert.notDeepEqual(before[0], numbers(original.bids))
  }
})
