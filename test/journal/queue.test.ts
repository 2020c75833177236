import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { CHUNK_BYTES, FrameQueue } from '../../capture/journal/queue.ts'
import { SEED } from './arbitraries.ts'

test('queue: whatever is taken and when, the bytes come out in order and whole (property)', () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 1, max: 90_000 }) },
    { weight: 1, arbitrary: fc.integer({ min: 200_000, max: 600_000 }) },
    { weight: 4, arbitrary: fc.constantFrom('take' as const, 'release' as const) },
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const queue = new FrameQueue()
      const put: number[] = []
      const got: number[] = []
      let out: Buffer | undefined
      let mark = 0
      const release = () => {
        if (!out) return
        // A frame is its length and one mark throughout, so that bytes changed under way would show.
        for (let at = 0; at < out.length; at += out.readUInt32LE(at)) {
          const frame = out.subarray(at + 4, at + out.readUInt32LE(at))
          assert.equal(frame.indexOf(frame[0] ?? 0), 0)
          assert.ok(frame.equals(Buffer.alloc(frame.length, frame[0])))
          got.push(frame[0] ?? -1, frame.length)
        }
        out = undefined
        queue.release()
      }
      for (const it of steps) {
        if (it === 'take') out ??= queue.take()
        else if (it === 'release') release()
        else {
          const at = queue.reserve(it + 4)
          mark = (mark + 1) % 251
          queue.chunk.writeUInt32LE(it + 4, at)
          queue.chunk.fill(mark, at + 4, at + 4 + it)
          queue.commit(it + 4)
          put.push(mark, it)
        }
      }
      do {
        release()
        out = queue.take()
      } while (out)
      assert.deepEqual(got, put)
      assert.equal(queue.bytes, 0)
    }),
    { seed: SEED, numRuns: 150 },
  )
})

test('queue: a chunk is not used again while a later part of it still waits', () => {
  const queue = new FrameQueue()
  const put = (mark: number) => {
    const at = queue.reserve(CHUNK_BYTES / 2)
    queue.chunk.fill(mark, at, at + CHUNK_BYTES / 2)
    queue.commit(CHUNK_BYTES / 2)
  }
  put(1)
  const first = queue.take()
  put(2)
  put(3)
  assert.equal(first?.[0], 1)
  queue.release()
  for (let mark = 4; mark <= 7; mark++) put(mark)
  const marks: number[] = []
  for (let slice = queue.take(); slice; slice = queue.take()) {
    marks.push(slice[0] ?? 0, slice.at(-1) ?? 0)
    queue.release()
  }
  assert.deepEqual(marks, [2, 2, 3, 4, 5, 6, 7, 7])
})
