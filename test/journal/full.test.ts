import assert from 'node:assert/strict'
import { existsSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { open, stat, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it, test } from 'node:test'
import { FileReserve, nodeJournalFs, RESERVE_BYTES, SegmentWriter } from '../../capture/journal/mod.ts'
import type { SegmentWriterOptions } from '../../capture/journal/writer.ts'
import { openFaulty, systemError } from './faulty.ts'
import {
  CHECKPOINT,
  header,
  message,
  mountedDir,
  readAll,
  TRAILER,
  temporaryDir,
  until,
  writeSegment,
} from './helpers.ts'

/** A writer whose disk is full at its second write, until room was made. */
function openFull(how: 'short' | 'ENOSPC' | 'EDQUOT', options: Partial<SegmentWriterOptions> = {}) {
  const asked: string[] = []
  let room = false
  const opened = openFaulty({
    onFull: () => asked.push('full'),
    makeRoom: async () => {
      asked.push('room')
      room = true
      return true
    },
    ...options,
  })
  opened.fs.fault = (call, nth) => {
    if (call !== 'write' || nth < 2 || room) return undefined
    if (how === 'short') return 21
    throw systemError(how)
  }
  return { ...opened, asked }
}

describe('a disk without room', () => {
  for (const how of ['short', 'ENOSPC', 'EDQUOT'] as const) {
    it(`${how}: what waited is written into the room that was made, once, and the trailer after it`, async (t) => {
      const { writer, fs, asked, errors } = openFull(how)
      writer.append(message(1))
      await writer.sync()
      writer.append(message(2, 100))
      writer.append(message(3, 100))
      await writer.seal(TRAILER)
      assert.deepEqual([asked, errors], [['full', 'room'], []])
      assert.deepEqual(await writer.closed, { how: 'sealed', bytes: writer.writtenBytes })
      const { inputs, end } = await readAll(writeSegment(temporaryDir(t), fs.content(writer.path)))
      assert.equal(end.end, 'sealed')
      assert.deepEqual(
        inputs.map(({ received }) => received),
        [1, 2, 3].map((n) => message(n).received),
      )
    })
  }

  it('the owner may add its last word when it hears that the disk is full', async (t) => {
    const { writer, fs } = openFull('ENOSPC', {
      onFull: () => {
        writer.append(message(9))
        void writer.seal({ ...TRAILER, reason: 'disk_full' })
      },
    })
    writer.append(message(1))
    await writer.sync()
    writer.append(message(2))
    await writer.sync()
    assert.equal((await writer.closed).how, 'sealed')
    const { inputs, end } = await readAll(writeSegment(temporaryDir(t), fs.content(writer.path)))
    assert.deepEqual(
      inputs.map(({ received }) => received),
      [1, 2, 9].map((n) => message(n).received),
    )
    assert.ok(end.end === 'sealed' && end.trailer.reason === 'disk_full')
  })

  for (const [what, makeRoom] of [
    ['there is none to make', async () => false],
    ['making some fails', () => Promise.reject(systemError('EIO'))],
  ] as const) {
    it(`${what}: the segment is cut at its last good frame and is JournalFull`, async (t) => {
      const { writer, fs, errors } = openFull('short', { makeRoom })
      writer.append(message(1))
      await writer.sync()
      writer.append(message(2, 100))
      await assert.rejects(writer.sync(), { code: 'JournalFull' })
      assert.equal(errors.length, 1)
      const { inputs, end } = await readAll(writeSegment(temporaryDir(t), fs.content(writer.path)))
      assert.deepEqual([inputs.length, end.end], [1, 'torn'])
    })
  }

  it('room is made once: a disk that fills up again ends the segment', async () => {
    const { writer, fs, asked } = openFull('ENOSPC')
    fs.fault = (call, nth) => {
      if (call === 'write' && nth >= 2) throw systemError('ENOSPC')
      return undefined
    }
    writer.append(message(1))
    await writer.sync()
    writer.append(message(2))
    await assert.rejects(writer.sync(), { code: 'JournalFull' })
    assert.deepEqual(asked, ['full', 'room'])
    const close = await writer.closed
    assert.ok(close.how === 'failed' && close.made && close.cut)
  })

  it('a segment that cannot even be made makes room for itself', async () => {
    const asked: string[] = []
    const { writer, fs } = openFaulty({ onFull: () => asked.push('full'), makeRoom: async () => true })
    fs.fault = (call, nth) => {
      if (call === 'create' && nth === 1) throw systemError('ENOSPC')
      return undefined
    }
    writer.append(message(1))
    await writer.seal(TRAILER)
    assert.deepEqual(asked, ['full'])
  })

  it('a segment that was never made says so', async () => {
    const { writer, fs } = openFaulty()
    fs.fault = () => Promise.reject(systemError('ENOSPC'))
    writer.append(message(1))
    await assert.rejects(writer.sync(), { code: 'JournalFull' })
    const close = await writer.closed
    assert.ok(close.how === 'failed' && !close.made)
  })
})

describe('the reserve', () => {
  it('is really allocated, taken once and given back once', async (t) => {
    const path = join(temporaryDir(t), 'reserve')
    const reserve = new FileReserve(path)
    assert.equal(await reserve.allocate(), true)
    const { size, blocks, mtimeMs } = await stat(path)
    assert.equal(size, RESERVE_BYTES)
    assert.ok(blocks * 512 >= RESERVE_BYTES, `${blocks} blocks`)
    assert.equal(await reserve.allocate(), true)
    assert.equal((await stat(path)).mtimeMs, mtimeMs, 'one that is whole is left alone')
    assert.deepEqual([await reserve.release(), await reserve.release()], [true, false])
    assert.equal(existsSync(path), false)
  })

  it('one that is short or sparse is made anew', async (t) => {
    const path = join(temporaryDir(t), 'reserve')
    const reserve = new FileReserve(path)
    for (const spoil of [() => writeFileSync(path, 'x'), () => truncateSync(path, 0)]) {
      spoil()
      truncateSync(path, RESERVE_BYTES)
      await reserve.allocate()
      assert.ok(statSync(path).blocks * 512 >= RESERVE_BYTES)
    }
  })

  it('where there is no room for it nothing is taken; with proof more than its size must fit', async (t) => {
    const dir = mountedDir(t, '4m')
    if (dir === undefined) return
    const reserve = new FileReserve(join(dir, 'reserve'))
    assert.equal(await reserve.allocate(2 * RESERVE_BYTES), true)
    assert.equal(statSync(reserve.path).size, RESERVE_BYTES)
    assert.equal(await reserve.allocate(8 * RESERVE_BYTES), false)
    assert.equal(existsSync(reserve.path), false, 'half a reserve would only take room')
    await writeFile(join(dir, 'ballast'), Buffer.alloc(3.5 * RESERVE_BYTES))
    assert.equal(await reserve.allocate(), false)
    assert.equal(existsSync(reserve.path), false)
  })
})

test('a file system that fills up: all inputs and the trailer stand in the room of the reserve', async (t) => {
  const dir = mountedDir(t, '4m')
  if (dir === undefined) return
  const reserve = new FileReserve(join(dir, 'reserve'))
  assert.equal(await reserve.allocate(), true)
  let full = false
  const writer = SegmentWriter.open({
    dir,
    header: header(),
    checkpoint: CHECKPOINT,
    fs: nodeJournalFs,
    onFull: () => {
      full = true
    },
    makeRoom: () => reserve.release(),
    onError: (error) => assert.fail(error.message),
  })
  const { bavail, bsize } = await statfs(dir)
  const ballast = await open(join(dir, 'ballast'), 'w')
  await ballast.writeFile(Buffer.alloc(bavail * bsize - 64 * 1024))
  await ballast.close()
  let sent = 0
  while (!full) {
    for (let i = 0; i < 20; i++) writer.append(message(++sent, 1000))
    const written = writer.writtenBytes
    await until('a write', () => full || writer.writtenBytes > written)
  }
  await writer.seal({ ...TRAILER, reason: 'disk_full' })
  const { inputs, end } = await readAll(writer.path)
  assert.deepEqual([inputs.length, end.end], [sent, 'sealed'])
})
