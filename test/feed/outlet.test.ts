import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Outlet } from '../../capture/feed/outlet.ts'
import type { Input } from '../../capture/session/mod.ts'

const tick = (received: number): Input => ({ kind: 'tick', received, wallDistance: 0, share: 1 })
const closed = (received: number): Input => ({
  kind: 'closed',
  received,
  connection: 1,
  code: 1000,
  reason: '',
  silent: false,
})

test('outlet: inputs that arise while one is handled follow it, in the order of arising', () => {
  const seen: string[] = []
  const outlet = new Outlet((input) => {
    seen.push(`begin ${input.received}`)
    if (input.received === 1) {
      outlet.put(tick(2))
      outlet.put(tick(3))
    }
    if (input.received === 2) outlet.put(tick(4))
    seen.push(`end ${input.received}`)
  })
  outlet.put(tick(1))
  assert.deepEqual(
    seen,
    [1, 2, 3, 4].flatMap((n) => [`begin ${n}`, `end ${n}`]),
  )
})

test('outlet: once closed only the ends of connections pass, also of what waited', () => {
  const seen: number[] = []
  const outlet = new Outlet((input) => {
    seen.push(input.received)
    if (input.received !== 1) return
    outlet.put(tick(2))
    outlet.put(closed(3))
    outlet.close()
    outlet.put(tick(4))
  })
  outlet.put(tick(1))
  outlet.put(tick(5))
  outlet.put(closed(6))
  assert.deepEqual(seen, [1, 3, 6])
})

test('outlet: what the receiver throws is not swallowed, and no order is lost by it', () => {
  const seen: number[] = []
  const outlet = new Outlet((input) => {
    seen.push(input.received)
    if (input.received !== 1) return
    outlet.put(tick(2))
    throw new Error('the journal failed')
  })
  assert.throws(() => outlet.put(tick(1)), /the journal failed/)
  outlet.put(tick(3))
  assert.deepEqual(seen, [1, 2, 3])
})
