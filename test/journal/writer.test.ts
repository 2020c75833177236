import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SYNC_BYTES, SYNC_DELAY_MS, WRITE_BYTES, WRITE_DELAY_MS } from '../../capture/journal/append-file.ts'
import { SegmentWriter } from '../../capture/journal/writer.ts'
import { FaultyFs, openFaulty, systemError } from './faulty.ts'
import {
  boundaries,
  CHECKPOINT,
  EACH_KIND,
  header,
  message,
  owned,
  readAll,
  TRAILER,
  temporaryDir,
  until,
  writeSegment,
} from './helpers.ts'

test('writer: a segment on a real disk comes back', async (t) => {
  const dir = temporaryDir(t)
  const errors: unknown[] = []
  const onError = (error: unknown) => errors.push(error)
  const writer = SegmentWriter.open({ dir, header: header(), checkpoint: CHECKPOINT, onError })
  for (const input of EACH_KIND) writer.append(input)
  await writer.seal({ ...TRAILER, inputs: EACH_KIND.length })
  const read = await readAll(writer.path)
  assert.deepEqual(read.inputs, EACH_KIND.map(owned))
  assert.equal(read.end.end, 'sealed')
  assert.deepEqual(errors, [])
  assert.equal(writer.queuedBytes, 0)
  assert.equal(writer.syncedBytes, writer.writtenBytes)
  assert.deepEqual(await writer.closed, { how: 'sealed', bytes: writer.writtenBytes })
})

test('writer: an input is copied when it is appended', async () => {
  const { writer, fs } = openFaulty()
  const payload = Buffer.from('as it was')
  writer.append({ kind: 'message', received: 1, connection: 1, payload })
  payload.fill(0)
  await writer.seal(TRAILER)
  assert.ok(fs.content(writer.path).includes('as it was'))
})

test('writer: the name is durable first, then the frames; one write and one sync at a time', async () => {
  const { writer, fs } = openFaulty()
  await until('the directory is synced', () => fs.count('syncDir') === 1)
  assert.deepEqual(fs.log.slice(0, 2), [`create ${writer.path}`, 'syncDir /spool/journal'])
  for (let n = 0; n < 3000; n++) {
    writer.append(message(n, 700))
    if (n % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  await writer.seal(TRAILER)
  assert.deepEqual(fs.log.slice(-2), [`datasync ${writer.path}`, `close ${writer.path}`])
  assert.equal(fs.mostInFlight.get('write'), 1)
  assert.equal(fs.mostInFlight.get('datasync'), 1)
  assert.ok(fs.count('write') < 300, `${fs.count('write')} writes`)
  assert.ok(fs.count('datasync') >= Math.floor((3000 * 700) / SYNC_BYTES / 2))
})

test('writer: frames are written after 5 ms or at 64 KiB, synced after 1 s or at 256 KiB', async () => {
  const { writer, fs, timers } = openFaulty()
  await until('the directory is synced', () => fs.log.includes('syncDir /spool/journal'))
  writer.append(message(1))
  assert.equal(fs.count('write'), 0)
  assert.deepEqual(timers.delays, [WRITE_DELAY_MS])
  timers.fire(WRITE_DELAY_MS)
  await until('the frame is written', () => writer.queuedBytes === 0)
  assert.equal(fs.count('datasync'), 0)
  assert.deepEqual(timers.delays, [SYNC_DELAY_MS])
  timers.fire(SYNC_DELAY_MS)
  await until('the frame is synced', () => writer.syncedBytes === writer.writtenBytes)

  writer.append(message(2, WRITE_BYTES))
  await until('the large frame is written at once', () => writer.queuedBytes === 0)
  assert.equal(fs.count('datasync'), 1)
  writer.append(message(3, SYNC_BYTES))
  await until('the larger frame is synced at once', () => fs.count('datasync') === 2)
  await writer.abandon()
})

test('writer: sync resolves when all that was appended before is durable', async () => {
  const { writer, fs } = openFaulty()
  writer.append(message(1))
  await writer.sync()
  assert.equal(writer.syncedBytes, fs.content(writer.path).length)
  const calls = fs.log.length
  await writer.sync()
  assert.equal(fs.log.length, calls, 'nothing to do, nothing done')
  writer.append(message(2))
  const [first, second] = [writer.sync(), writer.sync()]
  await Promise.all([first, second])
  assert.equal(writer.queuedBytes, 0)
  await writer.abandon()
})

test('writer: abandon leaves a whole segment without a trailer', async (t) => {
  const { writer, fs } = openFaulty()
  writer.append(message(1))
  await writer.abandon()
  assert.deepEqual(await writer.closed, { how: 'abandoned', bytes: writer.writtenBytes })
  const read = await readAll(writeSegment(temporaryDir(t), fs.content(writer.path)))
  assert.deepEqual(read.end, { end: 'torn', goodBytes: writer.writtenBytes, tailBytes: 0 })
  assert.equal(read.inputs.length, 1)
})

test('writer: a segment has no file, nor bytes, before the seal of the one before is durable', async () => {
  const fs = new FaultyFs()
  const disk = Promise.withResolvers<undefined>()
  const first = openFaulty({ fs }).writer
  await first.sync()
  fs.fault = (call) => (call === 'datasync' ? disk.promise : undefined)
  const after = first.seal(TRAILER)
  const second = SegmentWriter.open({
    dir: '/spool/journal',
    header: header(1),
    checkpoint: CHECKPOINT,
    fs,
    after,
    onError: assert.fail,
  })
  for (let n = 0; n < 1000; n++) second.append(message(n, 500))
  await until('the trailer is written', () => first.queuedBytes === 0)
  await until('the last sync is asked for', () => fs.count('datasync') === 2)
  assert.ok(!fs.files.has(second.path))
  assert.ok(second.queuedBytes > 500_000)
  disk.resolve(undefined)
  await second.seal(TRAILER)
  const sealed = fs.log.indexOf(`close ${first.path}`)
  assert.ok(sealed >= 0 && sealed < fs.log.indexOf(`create ${second.path}`))
  assert.ok(!fs.log.slice(sealed + 1).some((call) => call.endsWith(first.path)))
})

test('writer: when the seal of the one before fails, the next dies without a file, with the same code', async () => {
  const fs = new FaultyFs()
  const first = openFaulty({ fs })
  await first.writer.sync()
  fs.fault = (call) => (call === 'write' ? 3 : undefined)
  const after = first.writer.seal(TRAILER)
  const second = openFaulty({ fs, after, header: header(1) })
  second.writer.append(message(1))
  await assert.rejects(after, { code: 'JournalFull' })
  await assert.rejects(second.writer.sync(), { code: 'JournalFull', goodBytes: 0 })
  assert.equal(second.errors.length, 1)
  assert.ok(!fs.files.has(second.writer.path))
})

test('writer: a write that stops at any byte leaves exactly the whole frames before it', async (t) => {
  const dir = temporaryDir(t)
  const probe = openFaulty()
  for (const input of EACH_KIND) probe.writer.append(input)
  await probe.writer.abandon()
  const ends = boundaries(probe.fs.content(probe.writer.path))
  for (let taken = 0; taken < (ends.at(-1) ?? 0); taken++) {
    const { writer, fs, errors } = openFaulty()
    fs.fault = (call) => (call === 'write' ? taken : undefined)
    for (const input of EACH_KIND) writer.append(input)
    await assert.rejects(writer.sync(), { code: 'JournalFull' })
    const good = ends.findLast((end) => end <= taken)
    assert.equal(errors[0]?.goodBytes, good)
    assert.equal(fs.content(writer.path).length, good)
    if (taken % 50 === 0) {
      const { end, inputs } = await readAll(writeSegment(dir, fs.content(writer.path)))
      assert.deepEqual(end, { end: 'torn', goodBytes: good, tailBytes: 0 })
      assert.deepEqual(inputs, EACH_KIND.slice(0, inputs.length).map(owned))
    }
  }
})

test('writer: ENOSPC and EDQUOT are JournalFull, EIO is JournalFailed; the file keeps what was accepted', async () => {
  for (const [errno, code] of [
    ['ENOSPC', 'JournalFull'],
    ['EDQUOT', 'JournalFull'],
    ['EIO', 'JournalFailed'],
  ]) {
    const { writer, fs, errors } = openFaulty()
    writer.append(message(1))
    await writer.sync()
    const good = writer.writtenBytes
    fs.fault = (call) => {
      if (call === 'write') throw systemError(errno ?? '')
      return undefined
    }
    writer.append(message(2))
    await assert.rejects(writer.sync(), { code, goodBytes: good, syncedBytes: good })
    assert.equal(errors.length, 1)
    assert.match(errors[0]?.message ?? '', new RegExp(`${errno}: injected`))
    assert.equal(fs.content(writer.path).length, good)
    assert.ok(fs.log.at(-1)?.startsWith('close'))
    writer.append(message(3))
    writer.append(message(4))
    assert.equal(writer.droppedInputs, 2)
    await assert.rejects(writer.seal(TRAILER), { code })
    await assert.rejects(writer.abandon(), { code })
    assert.equal(errors.length, 1, 'told once')
    const closed = await writer.closed
    assert.ok(closed.how === 'failed' && closed.cut)
  }
})

test('writer: a failed sync is never tried again, of the file or of its directory', async () => {
  for (const call of ['datasync', 'syncDir'] as const) {
    const { writer, fs, errors } = openFaulty()
    fs.fault = (made) => {
      if (made === call) throw systemError('EIO')
      return undefined
    }
    writer.append(message(1))
    await assert.rejects(writer.seal(TRAILER), { code: 'JournalFailed', syncedBytes: 0 })
    assert.equal(fs.count(call), 1)
    assert.equal(fs.count('datasync') + fs.count('syncDir'), call === 'datasync' ? 2 : 1)
    assert.equal(errors.length, 1)
    assert.match(errors[0]?.message ?? '', /could not be synced \(EIO: injected\)/)
  }
})

test('writer: a full disk that shows itself only in a sync is a failed sync', async () => {
  const { writer, fs } = openFaulty()
  fs.fault = (call) => {
    if (call === 'datasync') throw systemError('ENOSPC')
    return undefined
  }
  writer.append(message(1))
  await assert.rejects(writer.sync(), { code: 'JournalFailed' })
})

test('writer: a disk that hangs costs bounded memory; the file is cut when the disk comes back', async () => {
  const queuedBytesMax = 100_000
  const { writer, fs, errors } = openFaulty({ queuedBytesMax })
  const hang = Promise.withResolvers<undefined>()
  fs.fault = (call) => (call === 'write' ? hang.promise : undefined)
  for (let n = 0; n < 8; n++) writer.append(message(n, 10_000))
  await until('the write hangs', () => fs.count('write') === 1)
  for (let n = 8; n < 30; n++) writer.append(message(n, 10_000))
  assert.equal(errors[0]?.code, 'JournalFailed')
  assert.match(errors[0]?.message ?? '', /does not keep up/)
  assert.ok(writer.queuedBytes < queuedBytesMax + 20_000)
  assert.equal(writer.droppedInputs, 30 - writer.inputs)
  assert.equal(fs.count('truncate') + fs.count('close'), 0)
  hang.resolve(undefined)
  const closed = await writer.closed
  assert.ok(closed.how === 'failed' && closed.cut)
  assert.equal(fs.content(writer.path).length, 0)
})

test('writer: a sync that fails beside a write in flight cuts what that write still brings', async () => {
  const { writer, fs, errors } = openFaulty()
  writer.append(message(1))
  await writer.sync()
  const good = writer.writtenBytes
  const hang = Promise.withResolvers<undefined>()
  fs.fault = async (call, nth) => {
    if (call === 'write' && nth === 3) await hang.promise
    if (call === 'datasync') throw systemError('EIO')
    return undefined
  }
  writer.append(message(2, SYNC_BYTES))
  writer.append(message(3, SYNC_BYTES))
  await until('the sync has failed', () => errors.length === 1)
  const goodBytes = errors[0]?.goodBytes ?? 0
  assert.ok(goodBytes > good + SYNC_BYTES && errors[0]?.syncedBytes === good)
  assert.equal(fs.count('truncate'), 0)
  hang.resolve(undefined)
  const closed = await writer.closed
  assert.ok(closed.how === 'failed' && closed.cut)
  assert.equal(fs.content(writer.path).length, goodBytes)
  assert.equal(writer.writtenBytes, goodBytes)
})

test('writer: where the file cannot be cut either, that is told', async () => {
  const { writer, fs } = openFaulty()
  fs.fault = (call) => {
    if (call === 'write') return 30
    if (call === 'truncate' || call === 'close') throw systemError('EIO')
    return undefined
  }
  await assert.rejects(writer.sync(), { code: 'JournalFull', goodBytes: 0 })
  const closed = await writer.closed
  assert.ok(closed.how === 'failed' && !closed.cut)
  assert.equal(closed.detail, 'EIO: injected; EIO: injected')
  assert.equal(fs.content(writer.path).length, 30)
})

test('writer: a file that is there is not overwritten', async () => {
  const fs = new FaultyFs()
  const first = openFaulty({ fs })
  await first.writer.seal(TRAILER)
  const before = Buffer.from(fs.content(first.writer.path))
  const second = openFaulty({ fs })
  await assert.rejects(second.writer.sync(), /is there already and is not overwritten/)
  assert.deepEqual(fs.content(first.writer.path), before)
})

test('writer: a failing close is an error, though the bytes are durable', async () => {
  const { writer, fs, errors } = openFaulty()
  fs.fault = (call) => {
    if (call === 'close') throw systemError('EIO')
    return undefined
  }
  await assert.rejects(writer.seal(TRAILER), { code: 'JournalFailed' })
  assert.equal(errors.length, 1)
  assert.equal(errors[0]?.syncedBytes, fs.content(writer.path).length)
})

test('writer: wrong calls are refused and leave the segment as it is', async (t) => {
  const { writer, fs } = openFaulty()
  writer.append(message(1))
  assert.throws(() => writer.append({ ...message(2), received: -1 }), { code: 'JournalMisuse' })
  assert.throws(() => writer.seal({ ...TRAILER, inputs: 2 }), /holds 1 inputs, but its trailer was to say 2/)
  assert.throws(() => writer.seal({ ...TRAILER, stateHash: 'no hash' }), { code: 'JournalMisuse' })
  assert.throws(() => openFaulty({ header: { ...header(), run: 'mine' } }), { code: 'name_invalid' })
  assert.throws(() => openFaulty({ checkpoint: new Uint8Array(2 ** 25) }), { code: 'JournalMisuse' })
  const sealed = writer.seal(TRAILER)
  assert.equal(writer.seal(TRAILER), sealed)
  assert.equal(writer.abandon(), sealed)
  assert.throws(() => writer.append(message(3)), { code: 'JournalMisuse' })
  await sealed
  const read = await readAll(writeSegment(temporaryDir(t), fs.content(writer.path)))
  assert.deepEqual(read.inputs, [owned(message(1))])
  assert.equal(read.end.end, 'sealed')
})

test('writer: 20,000 messages take a small part of a second of this thread', async (t) => {
  const { writer } = openFaulty()
  const inputs = Array.from({ length: 20_000 }, (_, n) => message(n, 600))
  const from = performance.now()
  for (const input of inputs) writer.append(input)
  const tookMs = performance.now() - from
  await writer.seal(TRAILER)
  t.diagnostic(`20,000 appends of 600 bytes: ${tookMs.toFixed(0)} ms`)
  assert.ok(tookMs < 500, `${tookMs} ms`)
})
