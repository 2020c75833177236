import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { QUEUED_BYTES_MAX } from '../../capture/journal/mod.ts'
import { JournalWatch } from '../../capture/process/journal-watch.ts'

const HIGH = QUEUED_BYTES_MAX / 2 + 1

/** What each tick of a second tells, given the queue and the bytes accepted so far. */
function ticks(loads: readonly (readonly [queuedBytes: number, writtenBytes: number])[]): number[] {
  const watch = new JournalWatch()
  return loads.map(([queuedBytes, writtenBytes], i) =>
    watch.tick({ queuedBytes, writtenBytes }, i * 1_000_000),
  )
}

describe('a journal that does not keep up', () => {
  it('nothing accepted for two seconds while bytes wait: told once', () =>
    assert.deepEqual(
      ticks([
        [0, 5],
        [9, 5],
        [9, 5],
        [9, 5],
        [9, 5],
        [9, 5],
      ]),
      [0, 0, 0, 2000, 0, 0],
    ))

  it('a queue above half of its maximum for two seconds is told, though bytes are accepted', () =>
    assert.deepEqual(
      ticks([
        [HIGH, 1],
        [HIGH, 2],
        [HIGH, 3],
        [HIGH, 4],
      ]),
      [0, 0, 2000, 0],
    ))

  it('a second of either is nothing, and each time counts by itself', () =>
    assert.deepEqual(
      ticks([
        [9, 5],
        [9, 5],
        [9, 6],
        [9, 6],
        [HIGH, 7],
        [9, 8],
        [9, 8],
        [9, 9],
      ]),
      [0, 0, 0, 0, 0, 0, 0, 0],
    ))

  it('it is told again when it happens again', () =>
    assert.deepEqual(
      ticks([
        [9, 0],
        [9, 0],
        [9, 0],
        [0, 9],
        [9, 9],
        [9, 9],
        [9, 9],
      ]),
      [0, 0, 2000, 0, 0, 0, 2000],
    ))

  it('nothing to write is no fault', () =>
    assert.deepEqual(
      ticks([
        [0, 5],
        [0, 5],
        [0, 5],
        [0, 5],
      ]),
      [0, 0, 0, 0],
    ))
})
