import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CAPTURES_AT_ONCE, inScene, live } from './scene.ts'

const STOPPED_MS = 5000

describe('a process that is stopped and continued', { concurrency: CAPTURES_AT_ONCE }, () => {
  it('five seconds of standing still: a gap that says so, no wrong row, and the book comes back', (t) =>
    inScene(async (scene) => {
      const capture = scene.capture()
      const before = await live(capture)
      capture.child.kill('SIGSTOP')
      await new Promise((wake) => setTimeout(wake, STOPPED_MS))
      capture.child.kill('SIGCONT')
      await capture.until(
        'the live book after the stop',
        ({ state, since }) => state === 'live' && since > before.since,
      )
      await capture.drain()
      t.diagnostic(JSON.stringify(await scene.judge()))
      const endings = await scene.endings()
      t.diagnostic([...endings].join(', '))
      assert.ok(endings.has('depth overload') || endings.has('depth reconnect'))
      assert.deepEqual(
        [...endings].filter((ended) => !/ (overload|reconnect|stopped)$/.test(ended)),
        [],
      )
    }))
})
