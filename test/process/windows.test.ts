import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { pino } from 'pino'
import { windowName } from '../../api/names.ts'
import { Windows } from '../../capture/process/windows.ts'
import { Recorder } from '../../capture/record/mod.ts'
import { Shipper } from '../../capture/ship/shipper.ts'
import { openSpool } from '../../capture/ship/spool.ts'
import { until } from '../feed/local-exchange.ts'
import { EvilBucket, RUN, recordWindow } from '../ship/fixture.ts'
import { lineageIn } from '../support/lineage.ts'
import { withDirectory } from '../support/run.ts'

const STREAMS = ['coverage']

/** A recorder that waits until it is let go, and then finds that there is no room. */
class WaitingRecorder extends Recorder {
  readonly asked = Promise.withResolvers<void>()
  readonly go = Promise.withResolvers<never>()

  override record(): Promise<never> {
    this.asked.resolve()
    return this.go.promise
  }
}

async function withWindows(
  body: (parts: {
    windows: Windows
    recorder: WaitingRecorder
    spool: Awaited<ReturnType<typeof openSpool>>
  }) => Promise<void>,
): Promise<void> {
  await withDirectory(async (dir) => {
    const spool = await openSpool(join(dir, 'spool'))
    const recorder = new WaitingRecorder()
    const log = pino({ level: 'silent' })
    const shipper = new Shipper({
      bucket: new EvilBucket(),
      spool,
      timers: { nowMs: () => 0, setTimer: () => () => undefined },
      random: () => 0,
      log,
    })
    const windows = new Windows({
      lineage: await lineageIn(spool),
      spool,
      recorder,
      shipper,
      log,
      wait: () => new Promise(() => undefined),
      onMismatch: (_run, detail) => assert.fail(detail),
      onUnrecordable: (_run, detail) => assert.fail(detail),
    })
    await body({ windows, recorder, spool })
    windows.stop()
    recorder.go.reject(Object.assign(new Error('no space'), { code: 'ENOSPC' }))
    await windows.settled()
    await recorder.close()
  })
}

describe('segments make room', () => {
  it('those of sealed windows go; one whose seal is being made anew stays', () =>
    withWindows(async ({ windows, recorder, spool }) => {
      for (const window of [0, 1, 2]) await recordWindow(spool, { window, streams: STREAMS })
      const segment = (window: number) => existsSync(spool.segmentPath(windowName(RUN, window)))
      const remade = windows.remake(windowName(RUN, 1), 'a flipped bit')
      await recorder.asked.promise
      windows.thin(1e9)
      await until(() => !segment(2), 'room')
      assert.equal(await windows.remake(windowName(RUN, 0), 'a flipped bit'), false)
      assert.deepEqual([0, 1, 2].map(segment), [false, true, false])
      assert.ok(
        existsSync(spool.sealedPath(windowName(RUN, 0))),
        'damaged sealed files without a segment stay',
      )
      windows.stop()
      recorder.go.reject(Object.assign(new Error('no space'), { code: 'ENOSPC' }))
      assert.equal(await remade, false)
    }))

  it('whatever the order of the two, a window never loses seal and segment', () =>
    withWindows(async ({ windows, spool }) => {
      for (let window = 0; window < 20; window++) {
        await recordWindow(spool, { window, streams: STREAMS })
        windows.thin(1e9)
        for (let i = 0; i < window % 7; i++) await Promise.resolve()
        void windows.remake(windowName(RUN, window), 'a flipped bit')
        await writeFile(join(spool.paths.tmp, 'tick'), '') // time for the other to go on
      }
      for (let window = 0; window < 20; window++) {
        const name = windowName(RUN, window)
        assert.ok(existsSync(spool.segmentPath(name)) || existsSync(spool.sealedPath(name)), name)
      }
    }))
})
