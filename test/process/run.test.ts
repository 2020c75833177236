import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SegmentReader } from '../../capture/journal/mod.ts'
import type { Input } from '../../capture/session/mod.ts'
import { depthFrame, snapshotBody, tradeFrame } from '../support/frames.ts'
import { type DrivenRun, driveRun, withDirectory } from '../support/run.ts'

const BEFORE_MIDNIGHT = Date.UTC(2026, 10, 22, 23, 59, 55) * 1000

async function inputsOf(path: string): Promise<{ opened: number; inputs: Input[]; reason: string }> {
  const reader = await SegmentReader.open(path)
  const inputs: Input[] = []
  const batches = reader.batches()
  for (;;) {
    const next = await batches.next()
    if (next.done === true) {
      assert.equal(next.value.end, 'sealed')
      return {
        opened: reader.header?.openedAt ?? 0,
        inputs,
        reason: next.value.end === 'sealed' ? next.value.trailer.reason : '',
      }
    }
    inputs.push(...next.value)
  }
}

/** One depth event each second, chained; a tick between. */
function second(driven: DrivenRun, id: number): void {
  driven.input({ kind: 'message', connection: 1, payload: depthFrame({ U: id + 1, u: id + 10, pu: id }) })
  driven.clock.nowUs += 500_000
  driven.input({ kind: 'tick', wallDistance: 0, share: 1 })
  driven.clock.nowUs += 500_000
}

describe('run', () => {
  it('windows are cut on boundaries of UTC, and at midnight', () =>
    withDirectory(async (dir) => {
      const driven = driveRun(dir, { startUs: BEFORE_MIDNIGHT, rotationSeconds: 10 })
      driven.input({ kind: 'opened', connection: 1, route: 'public' })
      for (let i = 0; i < 20; i++) second(driven, i * 10)
      await driven.run.end('stopped')
      assert.deepEqual(driven.sealed, [0, 1, 2])
      const opened: string[] = []
      const counts: number[] = []
      for (const window of driven.sealed) {
        const { opened: at, inputs } = await inputsOf(driven.segment(window))
        opened.push(new Date(at / 1000).toISOString())
        counts.push(inputs.length)
      }
      assert.deepEqual(opened, [
        '2026-11-22T23:59:55.000Z',
        '2026-11-23T00:00:00.000Z',
        '2026-11-23T00:00:10.000Z',
      ])
      assert.deepEqual(counts, [11, 20, 11], 'every input is in one window')
      assert.equal(driven.clock.anchors, 3, 'each segment takes a fresh anchor')
    }))

  it('a trailer is the hash that the next checkpoint begins with', () =>
    withDirectory(async (dir) => {
      const { hashBytes } = await import('../../capture/book/mod.ts')
      const driven = driveRun(dir, { startUs: BEFORE_MIDNIGHT, rotationSeconds: 10 })
      driven.input({ kind: 'opened', connection: 1, route: 'public' })
      for (let i = 0; i < 8; i++) second(driven, i * 10)
      await driven.run.end('stopped')
      const first = await SegmentReader.open(driven.segment(0))
      for await (const _ of first.batches());
      const second_ = await SegmentReader.open(driven.segment(1))
      assert.ok(first.end?.end === 'sealed' && second_.checkpoint !== undefined)
      assert.equal(first.end.trailer.stateHash, hashBytes(second_.checkpoint))
      await second_.close()
    }))

  it('a wall clock that was stepped forward closes the segment: receive times follow from the next one on', () =>
    withDirectory(async (dir) => {
      const driven = driveRun(dir, { startUs: BEFORE_MIDNIGHT - 3_000_000_000, rotationSeconds: 3600 })
      driven.input({ kind: 'opened', connection: 1, route: 'public' })
      driven.input({ kind: 'tick', wallDistance: 250_000, share: 1 })
      assert.equal(driven.run.window, 0, 'a step of 250 ms is none')
      driven.input({ kind: 'tick', wallDistance: 250_001, share: 1 })
      assert.equal(driven.run.window, 1)
      assert.equal(driven.clock.anchors, 2)
      await driven.run.end('stopped')
      assert.equal((await inputsOf(driven.segment(0))).inputs.length, 3)
    }))

  it('a wall clock that was stepped back just before a boundary is no fresh anchor: the next tick ends the run', () =>
    withDirectory(async (dir) => {
      const driven = driveRun(dir, { startUs: BEFORE_MIDNIGHT, rotationSeconds: 10 })
      driven.input({ kind: 'opened', connection: 1, route: 'public' })
      driven.clock.nowUs += 5_000_000
      driven.clock.distanceUs = -250_001
      driven.input({ kind: 'message', connection: 1, payload: tradeFrame(1) })
      assert.deepEqual([driven.run.window, driven.clock.anchors], [1, 1])
      driven.input({ kind: 'tick', wallDistance: -250_001, share: 1 })
      assert.deepEqual(driven.ends, ['clock_step'])
      await driven.run.end('stopped')
      assert.deepEqual(driven.sealed, [0, 1])
    }))

  it('an input that crosses a boundary opens the window, though the clock has moved on since', () =>
    withDirectory(async (dir) => {
      const driven = driveRun(dir, { startUs: BEFORE_MIDNIGHT, rotationSeconds: 10 })
      driven.input({ kind: 'opened', connection: 1, route: 'public' })
      const received = BEFORE_MIDNIGHT + 5_000_000
      driven.clock.nowUs = received + 700
      driven.run.input({ kind: 'tick', received, wallDistance: 0, share: 1 })
      await driven.run.end('stopped')
      assert.equal((await inputsOf(driven.segment(1))).opened, received)
    }))

  it('a halt closes the segment with its reason, and nothing is journalled after it', () =>
    withDirectory(async (dir) => {
      const driven = driveRun(dir, { startUs: BEFORE_MIDNIGHT, rotationSeconds: 3600 })
      driven.input({ kind: 'opened', connection: 1, route: 'public' })
      // no book is live before the clock is known
      for (let i = 0; i < 5; i++) driven.input({ kind: 'clock', offset: 0, rtt: 1000 })
      driven.input({
        kind: 'message',
        connection: 1,
        payload: depthFrame({ U: 101, u: 105, pu: 100, b: [['102', '1']] }),
      })
      const body = snapshotBody(103, [['100', '1']], [['101', '1']])
      driven.input({ kind: 'response', request: 1, status: 200, usedWeight: 1, retryAt: 0, error: '', body })
      assert.deepEqual(driven.halts, ['CrossedBook'])
      driven.input({ kind: 'message', connection: 1, payload: tradeFrame(1) })
      await driven.run.end('stopped')
      const { inputs, reason } = await inputsOf(driven.segment(0))
      assert.equal(reason, 'CrossedBook')
      assert.equal(inputs.length, 8)
    }))

  it('a journal that fails ends the run at once', () =>
    withDirectory(async (dir) => {
      const { nodeJournalFs } = await import('../../capture/journal/mod.ts')
      const driven = driveRun(dir, {
        startUs: BEFORE_MIDNIGHT,
        rotationSeconds: 3600,
        fs: {
          ...nodeJournalFs,
          create: async () => Promise.reject(Object.assign(new Error('no space'), { code: 'ENOSPC' })),
        },
      })
      driven.input({ kind: 'opened', connection: 1, route: 'public' })
      while (driven.errors.length === 0) await new Promise((wake) => setImmediate(wake))
      assert.deepEqual(
        driven.errors.map((error) => error.code),
        ['JournalFull'],
      )
      assert.equal(driven.run.ended, true)
    }))
})
