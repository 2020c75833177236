import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Decoder, Encoder } from '../../capture/book/mod.ts'
import { DepthEvent, LevelBuffer } from '../../capture/exchange/mod.ts'
import { EventBuffer } from '../../capture/session/buffer.ts'

const follows = (event: DepthEvent, lastId: bigint) => event.previousId === lastId

function event(previousId: bigint, finalId: bigint, levels = 1): DepthEvent {
  const bids = new LevelBuffer()
  for (let i = 0; i < levels; i++) bids.push(100 + i, 1)
  const made = new DepthEvent(bids)
  made.previousId = previousId
  made.finalId = finalId
  return made
}

describe('buffer of events', () => {
  it('holds at most sixty seconds: the oldest go, and are counted', () => {
    const buffer = new EventBuffer()
    let dropped = 0
    for (let i = 0; i < 700; i++)
      dropped += buffer.push(event(BigInt(i), BigInt(i + 1)), i * 100_000, follows)
    assert.equal(buffer.length, 601)
    assert.equal(dropped, 99)
    assert.equal(buffer.first?.event.previousId, 99n)
  })

  it('holds at most 16 MiB', () => {
    const buffer = new EventBuffer()
    const levels = 10_000 // 160 kB each
    let dropped = 0
    for (let i = 0; i < 150; i++) dropped += buffer.push(event(BigInt(i), BigInt(i + 1), levels), i, follows)
    assert.equal(buffer.length + dropped, 150)
    assert.ok(buffer.length * levels * 16 <= 16 * 1024 * 1024)
    assert.ok(buffer.length > 100)
  })

  it('an event that does not follow drops all before it', () => {
    const buffer = new EventBuffer()
    buffer.push(event(1n, 2n), 0, follows)
    buffer.push(event(2n, 3n), 1, follows)
    assert.equal(buffer.push(event(5n, 6n), 2, follows), 2)
    assert.equal(buffer.length, 1)
  })

  it('keeps copies: what is scratch outside may change', () => {
    const buffer = new EventBuffer()
    const scratch = event(1n, 2n)
    buffer.push(scratch, 0, follows)
    scratch.bids.clear()
    scratch.bids.push(7, 7)
    assert.deepEqual([...(buffer.first?.event.bids.data ?? [])], [100, 1])
  })

  it('its canonical bytes give back equal events', () => {
    const buffer = new EventBuffer()
    buffer.push(event(1n, 2n, 3), 5, follows)
    buffer.push(event(2n, 9_007_199_254_740_993n, 0), 6, follows)
    const out = new Encoder()
    buffer.encode(out)
    const back = new EventBuffer()
    back.decode(new Decoder(out.bytes()))
    const again = new Encoder()
    back.encode(again)
    assert.deepEqual(Buffer.from(again.bytes()), Buffer.from(out.bytes()))
    assert.equal(back.at(1).event.finalId, 9_007_199_254_740_993n)
  })
})
