import assert from 'node:assert/strict'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { HALT_EXIT_CODES } from '../../api/reasons.ts'
import type { CaptureStatus } from '../../capture/process/status.ts'
import { CAPTURES_AT_ONCE, ends, inScene, live, waitFor } from './scene.ts'

/** Longer than a process takes to die, to start, and to ask. */
const BAN_SECONDS = 8

/** The exchange stays away for so long at a time, and longer while less than this is left of it. */
const AWAY_SECONDS = 8
const AWAY_AHEAD_MS = 6000

const HALT_SECONDS = 12

describe('the exchange wants to be left alone, or does not trade', { concurrency: CAPTURES_AT_ONCE }, () => {
  for (const kind of ['rest_418', 'rest_429']) {
    it(`${kind}: nothing is asked before Retry-After, also not by the process after a kill`, (t) =>
      inScene(async (scene) => {
        const first = scene.capture()
        await live(first)
        await scene.strike(`${kind}/depth=${BAN_SECONDS},drop`)
        const banned = performance.now()
        const paused = await first.until('the pause', ({ state }) => state === 'paused')
        assert.equal(paused.reason, 'rate_limited')
        await waitFor('the end of the pause on disk', () => exists(join(scene.spool, 'paused-until')))
        await first.kill()
        const second = scene.capture()
        await live(second)
        const tookMs = performance.now() - banned
        assert.ok(tookMs >= BAN_SECONDS * 1000, `live after ${tookMs} ms`)
        await second.drain()
        t.diagnostic(JSON.stringify(await scene.judge()))
        assert.equal(scene.sim.violations.early, 0)
      }))
  }

  it('a handshake that is answered with 429: no other before its Retry-After', () =>
    inScene(async (scene) => {
      const capture = scene.capture()
      await live(capture)
      const started = performance.now()
      await scene.strike('refuse_429/public+4,cut')
      await capture.until('the book that lost its socket', ({ state }) => state !== 'live')
      await live(capture)
      assert.ok(performance.now() - started >= 4000)
      await capture.drain()
      await scene.judge()
    }))

  it('a start while the exchange answers nothing: it says so, and is live when the exchange is back', (t) =>
    inScene(async (scene) => {
      const capture = scene.capture()
      // the exchange stays away until that was told, however long the process takes to start
      let awayUntilMs = 0
      let status: CaptureStatus | undefined
      await waitFor('its first words', () => {
        if (performance.now() > awayUntilMs - AWAY_AHEAD_MS) {
          scene.inject(`rest_5xx/any=503+${AWAY_SECONDS},refuse/any+${AWAY_SECONDS}`)
          awayUntilMs = performance.now() + AWAY_SECONDS * 1000
        }
        status = capture.status
        return status?.connections.some(({ why }) => why !== '') === true
      })
      assert.equal(status?.state, 'connecting')
      await live(capture)
      await capture.drain()
      t.diagnostic(JSON.stringify(await scene.judge()))
      assert.deepEqual(
        [...(await scene.endings())].filter((ended) => !ended.endsWith(' stopped')),
        [],
      )
    }))

  for (const kind of ['maintenance', 'id_reset']) {
    it(`${kind}: the process connects for as long as it takes, and goes on with what it finds`, (t) =>
      inScene(async (scene) => {
        const capture = scene.capture()
        const before = await live(capture)
        await scene.strike(`${kind}+5`)
        const down = await capture.until('the lost exchange', ({ state }) => state === 'connecting')
        assert.ok(
          down.connections.every(({ why }) => why !== ''),
          'it says why',
        )
        await capture.until('the live book', ({ state, since }) => state === 'live' && since > before.since)
        await capture.drain()
        t.diagnostic(JSON.stringify(await scene.judge()))
        assert.ok((await scene.endings()).has('depth reconnect'))
      }))
  }

  it('a halt of trading: paused in place and told, ends in order; a start after it is live', (t) =>
    inScene(async (scene) => {
      const first = scene.capture()
      await live(first)
      const haltedAt = performance.now()
      await scene.strike(`halt_trading+${HALT_SECONDS}`)
      const paused = await first.until('the pause', ({ state }) => state === 'paused')
      assert.equal(paused.reason, 'not_trading')
      await first.drain()
      const endings = await scene.endings()
      t.diagnostic([...endings].join(', '))
      const second = scene.capture()
      await second.until(
        'the pause again',
        ({ state, reason }) => state === 'paused' && reason === 'not_trading',
      )
      await second.drain()
      await waitFor('trading', () => performance.now() > haltedAt + HALT_SECONDS * 1000)
      const third = scene.capture()
      await live(third)
      await third.drain()
      t.diagnostic(JSON.stringify(await scene.judge()))
    }))

  it('a symbol that leaves the listing: paused in place; it is unknown to the next process, which ends as SymbolUnknown', (t) =>
    inScene(async (scene) => {
      const first = scene.capture()
      await live(first)
      await scene.strike('delist')
      await first.until('the pause', ({ state, reason }) => state === 'paused' && reason === 'not_trading')
      await first.kill()
      const second = scene.capture()
      assert.equal(await ends(second), HALT_EXIT_CODES.SymbolUnknown)
      assert.match((await scene.report()).message, /lists no symbol BTCUSDT/)
      t.diagnostic(JSON.stringify(await scene.judge()))
    }))
})

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false, // not there yet: asked again
  )
}
