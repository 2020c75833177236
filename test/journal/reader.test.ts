import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { encodeFrame } from '../../capture/journal/frame.ts'
import { encodeInput, SegmentReader } from '../../capture/journal/mod.ts'
import { encodeCheckpoint, encodeHeader, encodeTrailer } from '../../capture/journal/segment.ts'
import type { Input } from '../../capture/session/input.ts'
import { inputArbitrary, messageArbitrary, SEED } from './arbitraries.ts'
import { sealedBytes } from './faulty.ts'
import {
  boundaries,
  CHECKPOINT,
  EACH_KIND,
  header,
  message,
  owned,
  type Read,
  readAll,
  TRAILER,
  temporaryDir,
  writeSegment,
} from './helpers.ts'

const EXPECTED = EACH_KIND.map(owned)

test('reader: a sealed segment comes back whole, whatever the size of its chunks', async (t) => {
  const dir = temporaryDir(t)
  const path = writeSegment(dir, await sealedBytes(EACH_KIND))
  for (const chunkBytes of [1, 7, 64, 300, 1 << 20]) {
    const read = await readAll(path, chunkBytes)
    assert.deepEqual(read.header, header())
    assert.deepEqual(read.checkpoint, CHECKPOINT)
    assert.deepEqual(read.inputs, EXPECTED)
    assert.deepEqual(read.end, { end: 'sealed', trailer: { ...TRAILER, inputs: EACH_KIND.length } })
  }
})

test('reader: any inputs come back in order (property)', async (t) => {
  const dir = temporaryDir(t)
  const inputs = fc.array(inputArbitrary, { maxLength: 40 })
  await fc.assert(
    fc.asyncProperty(
      inputs,
      fc.uint8Array({ maxLength: 2000 }),
      fc.integer({ min: 1, max: 3000 }),
      async (list, checkpoint, chunk) => {
        const read = await readAll(writeSegment(dir, await sealedBytes(list, checkpoint)), chunk)
        assert.deepStrictEqual(read.inputs, list.map(owned))
        assert.deepEqual(read.checkpoint, checkpoint)
        assert.equal(read.end.end, 'sealed')
      },
    ),
    { seed: SEED, numRuns: 200 },
  )
})

test('reader: every flipped byte of a small sealed segment is found (exhaustive)', async (t) => {
  const dir = temporaryDir(t)
  const good = await sealedBytes(EACH_KIND)
  const path = writeSegment(dir, good)
  for (let at = 0; at < good.length; at++) {
    for (const mask of [0x01, 0x80, 0xff]) {
      const bad = Buffer.from(good)
      bad[at] = (bad[at] ?? 0) ^ mask
      writeFileSync(path, bad)
      assertPrefix(await readAll(path), EXPECTED, `byte ${at} ^ ${mask}`)
    }
  }
})

test('reader: damage of any kind to larger segments is found (property)', async (t) => {
  const dir = temporaryDir(t)
  const damage = fc.record({
    at: fc.nat(),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 600 }),
    how: fc.constantFrom('overwrite', 'insert', 'remove', 'zero'),
  })
  const list = fc.array(messageArbitrary, { minLength: 1, maxLength: 60 })
  await fc.assert(
    fc.asyncProperty(list, damage, async (inputs, { at, bytes, how }) => {
      const good = await sealedBytes(inputs)
      const from = at % good.length
      const to = Math.min(good.length, from + bytes.length)
      const middle = {
        overwrite: bytes.subarray(0, to - from),
        insert: bytes,
        remove: '',
        zero: Buffer.alloc(to - from),
      }
      const put = middle[how as keyof typeof middle]
      const bad = Buffer.concat([
        good.subarray(0, from),
        Buffer.from(put),
        good.subarray(how === 'insert' ? from : to),
      ])
      if (bad.equals(good)) return
      assertPrefix(await readAll(writeSegment(dir, bad), 512), inputs.map(owned), `${how} at ${from}`)
    }),
    { seed: SEED, numRuns: 300 },
  )
})

test('reader: cut anywhere, a segment is torn after exactly its whole frames (exhaustive)', async (t) => {
  const dir = temporaryDir(t)
  const good = await sealedBytes(EACH_KIND)
  const ends = boundaries(good)
  for (let length = 0; length < good.length; length++) {
    const read = await readAll(writeSegment(dir, good.subarray(0, length)))
    const whole = ends.filter((end) => end <= length).length - 1
    const goodBytes = ends[whole] ?? 0
    assert.deepEqual(read.end, { end: 'torn', goodBytes, tailBytes: length - goodBytes }, `cut at ${length}`)
    assert.equal(read.header !== undefined, whole >= 1)
    assert.equal(read.checkpoint !== undefined, whole >= 2)
    assert.deepEqual(read.inputs, EXPECTED.slice(0, Math.max(0, whole - 2)))
  }
})

test('reader: a tail of zeros or of noise is torn, at any boundary and within any frame', async (t) => {
  const dir = temporaryDir(t)
  const good = await sealedBytes(EACH_KIND)
  const ends = boundaries(good).slice(0, -1)
  for (const tail of [
    Buffer.alloc(1),
    Buffer.alloc(5000),
    Buffer.alloc(3_000_000),
    Buffer.alloc(5000, 0xa7),
  ]) {
    for (const cut of [0, 3, 20, ...ends.slice(-3), (ends.at(-1) ?? 0) + 9]) {
      const read = await readAll(writeSegment(dir, Buffer.concat([good.subarray(0, cut), tail])))
      const goodBytes = ends.findLast((end) => end <= cut) ?? 0
      assert.deepEqual(read.end, { end: 'torn', goodBytes, tailBytes: cut + tail.length - goodBytes })
    }
  }
})

test('reader: a damaged frame before whole ones is corrupt, also when its length swallows them', async (t) => {
  const dir = temporaryDir(t)
  const good = await sealedBytes([...EACH_KIND, ...EACH_KIND])
  const third = boundaries(good)[3] ?? 0
  for (const length of [0, 1, 5000, 2 ** 25, 0xffffffff]) {
    const bad = Buffer.from(good)
    bad.writeUInt32LE(length, third)
    const { end, inputs } = await readAll(writeSegment(dir, bad))
    assert.ok(end.end === 'corrupt' && end.goodBytes === third, JSON.stringify(end))
    assert.equal(inputs.length, 1)
  }
})

test('reader: a frame that follows damage far behind, across the windows of the search, is still seen', async (t) => {
  const dir = temporaryDir(t)
  const good = await sealedBytes([message(1)])
  const cut = boundaries(good)[3] ?? 0
  const frame = encodeFrame(encodeInput(message(2)))
  for (let shift = 0; shift < 30; shift++) {
    const noise = Buffer.alloc(1024 * 1024 - 25 + shift, 0xee)
    const { end } = await readAll(writeSegment(dir, Buffer.concat([good.subarray(0, cut), noise, frame])))
    assert.equal(end.end, 'corrupt', `shift ${shift}`)
  }
})

test('reader: wrong order, wrong counts and bytes after the trailer are corrupt', async (t) => {
  const dir = temporaryDir(t)
  const head = encodeFrame(encodeHeader(header()))
  const checkpoint = encodeFrame(encodeCheckpoint(CHECKPOINT))
  const input = encodeFrame(encodeInput(message(1)))
  const trailer = encodeFrame(encodeTrailer({ ...TRAILER, inputs: 1 }))
  const unknown = encodeFrame(Buffer.from([99, ...Buffer.alloc(30)]))
  const cases: readonly (readonly [string, readonly Buffer[], RegExp])[] = [
    ['checkpoint first', [checkpoint, head, input, trailer], /kind 2 stands where the header/],
    ['input before checkpoint', [head, input, checkpoint, trailer], /kind 16 stands where the checkpoint/],
    ['no checkpoint', [head, trailer], /kind 3 stands where the checkpoint/],
    ['second header', [head, checkpoint, head, input, trailer], /kind 1 stands among the inputs/],
    ['second checkpoint', [head, checkpoint, checkpoint], /kind 2 stands among the inputs/],
    ['an input lost', [head, checkpoint, trailer], /counts 1 inputs, but 0 were read/],
    ['an input twice', [head, checkpoint, input, input, trailer], /counts 1 inputs, but 2 were read/],
    ['a second trailer', [head, checkpoint, input, trailer, trailer], /bytes follow the trailer/],
    [
      'a zero after the trailer',
      [head, checkpoint, input, trailer, Buffer.alloc(1)],
      /1 bytes follow the trailer/,
    ],
    ['an unknown kind', [head, checkpoint, unknown, trailer], /Kind 99 is no input known/],
    ['another format', [encodeFrame(Buffer.from('\u0001{"format":99}')), checkpoint], /not of format/],
    ['no JSON', [encodeFrame(Buffer.from('\u0001{')), checkpoint], /no JSON/],
    ['a foreign header', [encodeFrame(encodeHeader(header(7))), checkpoint], /window 7 of run/],
  ]
  for (const [name, frames, detail] of cases) {
    const { end } = await readAll(writeSegment(dir, Buffer.concat(frames)))
    assert.equal(end.end, 'corrupt', name)
    if (end.end === 'corrupt') assert.match(end.detail, detail, name)
  }
})

test('reader: frames far larger than a chunk come back, in a buffer no larger than they need', async (t) => {
  const dir = temporaryDir(t)
  const inputs = [message(1, 10), message(2, 5_000_000), message(3, 10), message(4, 900_000)]
  const path = writeSegment(dir, await sealedBytes(inputs, new Uint8Array(3_000_000)))
  const read = await readAll(path, 4096)
  assert.deepEqual(read.inputs, inputs.map(owned))
  assert.equal(read.end.end, 'sealed')
})

test('reader: a payload is a view that holds until the next batch is asked for', async (t) => {
  const inputs = Array.from({ length: 50 }, (_, n) => message(n, 30))
  const path = writeSegment(temporaryDir(t), await sealedBytes(inputs))
  const reader = await SegmentReader.open(path, 200)
  const first = await reader.batches().next()
  assert.ok(!first.done)
  const batch: readonly Input[] = first.value
  assert.ok(batch.length > 1 && batch.length < 50)
  assert.deepEqual(batch.map(owned), inputs.slice(0, batch.length).map(owned))
  assert.ok(batch[0]?.kind === 'message' && batch[1]?.kind === 'message')
  assert.equal(batch[0].payload.buffer, batch[1].payload.buffer)
  await assert.rejects(reader.batches().next(), { code: 'JournalMisuse' })
  await reader.close()
})

test('reader: an absent file and a directory are errors, an empty file is torn', async (t) => {
  const dir = temporaryDir(t)
  await assert.rejects(SegmentReader.open(join(dir, 'absent')), { code: 'ENOENT' })
  await assert.rejects(SegmentReader.open(dir))
  const { end } = await readAll(writeSegment(dir, Buffer.alloc(0)))
  assert.deepEqual(end, { end: 'torn', goodBytes: 0, tailBytes: 0 })
})

test('reader: 20 MB of messages are read well under a second', async (t) => {
  const inputs = Array.from({ length: 50_000 }, (_, n) => message(n, 400))
  const path = writeSegment(temporaryDir(t), await sealedBytes(inputs))
  const from = performance.now()
  const reader = await SegmentReader.open(path)
  let bytes = 0
  for await (const batch of reader.batches()) {
    for (const input of batch) if (input.kind === 'message') bytes += input.payload.length
  }
  const tookMs = performance.now() - from
  assert.equal(bytes, 20_000_000)
  t.diagnostic(`20 MB, 50,000 messages: ${tookMs.toFixed(0)} ms`)
  assert.ok(tookMs < 1000, `${tookMs} ms`)
})

/** After damage a reader may give less than was written, never anything else, and says so at the end. */
function assertPrefix(read: Read, written: readonly Input[], what: string): void {
  assert.notEqual(read.end.end, 'sealed', what)
  assert.ok(read.inputs.length <= written.length, what)
  assert.deepEqual(read.inputs, written.slice(0, read.inputs.length), what)
  if (read.header) assert.deepEqual(read.header, header(), what)
  if (read.checkpoint) assert.deepEqual(read.checkpoint, CHECKPOINT, what)
}
