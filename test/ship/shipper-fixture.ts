/** A shipper with timers moved by hand, and what it told. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { Shipper, type ShipperOptions, type ShipState } from '../../capture/ship/shipper.ts'
import type { Spool } from '../../capture/ship/spool.ts'
import { HandTimers } from '../support/hand-timers.ts'
import type { EvilBucket } from './fixture.ts'

export const STREAMS = ['books20', 'coverage']
const DEADLINE_MS = 120_000
/** A promise that never settles must fail its test, not hang the run. */
export const IN_TIME = { timeout: 2 * DEADLINE_MS }

/** A shipper over a spool, with every state that it told; ends with the test. */
export function shipperOf(
  context: TestContext,
  spool: Spool,
  bucket: EvilBucket,
  more: Partial<Pick<ShipperOptions, 'random' | 'check' | 'spreadBy' | 'windowEveryMs'>> = {},
) {
  const timers = new HandTimers()
  const states: ShipState[] = []
  const logged: string[] = []
  const log = {
    info: (_fields: object, message: string) => void logged.push(message),
    warn: (_fields: object, message: string) => void logged.push(message),
  }
  const shipper = new Shipper({
    bucket,
    spool,
    timers,
    random: () => 1 - 2 ** -53,
    log,
    onState: (state) => states.push(state),
    ...more,
  })
  context.after(() => shipper.stop())
  return { shipper, timers, states, logged }
}

/** Waits until the condition holds; the file system is real, so it takes its time. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS
  while (!condition()) {
    assert.ok(performance.now() < deadline, `waited in vain: ${what}`)
    await new Promise((resolve) => setImmediate(resolve))
  }
}
