import assert from 'node:assert/strict'
import type { FileHandle } from 'node:fs/promises'
import fs from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import { type BucketEntry, BucketError, type BucketErrorClass } from '../../capture/ship/bucket.ts'
import { LocalBucket } from '../../capture/ship/local.ts'
import { explainLocalError } from '../../capture/ship/local-errors.ts'
import { sha256, temporary } from './fixture.ts'

const BODY = Buffer.from('what is to be kept')

function isError(code: string, errorClass: BucketErrorClass) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof BucketError, String(error))
    assert.deepEqual([error.code, error.class], [code, errorClass], error.message)
    return true
  }
}

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: made by the test`), { code })
}

async function keysOf(entries: AsyncIterable<BucketEntry>): Promise<string[]> {
  const keys: string[] = []
  for await (const entry of entries) keys.push(entry.key)
  return keys
}

test('local: what was put is there whole, under its key, and nothing else is', async (context) => {
  const root = path.join(await temporary(context), 'a', 'b')
  const bucket = new LocalBucket(root)
  assert.equal(await bucket.get('x/y.json'), undefined)
  assert.deepEqual(await keysOf(bucket.list('')), [])
  await assert.rejects(fs.stat(root), 'reading creates nothing')

  await bucket.put('x/date=2026-11-22/y%20z.json', BODY, sha256(BODY))
  await bucket.put('x/date=2026-11-22/y%20z.json', Buffer.from('new'), sha256(Buffer.from('new')))
  assert.equal(String(await bucket.get('x/date=2026-11-22/y%20z.json')), 'new')
  assert.equal(await bucket.get('x'), undefined, 'a directory is no object')
  assert.equal(await bucket.get('x/date=2026-11-22/y%20z.json/deeper'), undefined)
  assert.deepEqual(await fs.readdir(path.join(root, 'x', 'date=2026-11-22')), ['y%20z.json'])
})

test('local: an object that is larger than asked for is not read', async (context) => {
  const bucket = new LocalBucket(await temporary(context))
  const body = Buffer.from('1234567')
  await bucket.put('a/b.json', body, sha256(body))
  assert.equal((await bucket.get('a/b.json', 7))?.toString(), '1234567')
  await assert.rejects(bucket.get('a/b.json', 6), { code: 'ObjectTooLarge', class: 'integrity' })
  assert.equal(await bucket.get('a/none.json', 0), undefined)
  assert.equal(await bucket.get('a', 0), undefined, 'a directory is no object')
})

test('local: list gives the keys under a prefix in the order of an object store, with sizes', async (context) => {
  const bucket = new LocalBucket(await temporary(context))
  const keys = ['m/a-b/1', 'm/a/1', 'm/a/2', 'm/a.json', 'n/1'].sort()
  for (const key of keys) await bucket.put(key, BODY, sha256(BODY))
  assert.deepEqual(await keysOf(bucket.list('')), keys)
  assert.deepEqual(await keysOf(bucket.list('m/a')), ['m/a-b/1', 'm/a.json', 'm/a/1', 'm/a/2'])
  assert.deepEqual(await keysOf(bucket.list('m/a/')), ['m/a/1', 'm/a/2'])
  assert.deepEqual(await keysOf(bucket.list('m/zz/')), [])
  for await (const entry of bucket.list('n/')) {
    assert.equal(entry.bytes, BODY.byteLength)
    assert.ok(entry.modifiedMs > 0)
  }
})

test('local: a key never leads out of the root', async (context) => {
  const directory = await temporary(context)
  const root = path.join(directory, 'root')
  const bucket = new LocalBucket(root)
  for (const key of ['../x', 'a/../../x', '/x', '', 'a//x', 'a/', './x', 'a\u0000', 'a/.l2cap-tmp-1/x']) {
    await assert.rejects(bucket.put(key, BODY, sha256(BODY)), isError('key_invalid', 'configuration'), key)
    await assert.rejects(bucket.get(key), isError('key_invalid', 'configuration'), key)
  }
  await assert.rejects(keysOf(bucket.list('../')), isError('key_invalid', 'configuration'))

  await fs.mkdir(path.join(directory, 'outside'))
  await fs.writeFile(path.join(directory, 'outside', 'secret'), 'not ours')
  await fs.mkdir(root)
  await fs.symlink(path.join(directory, 'outside'), path.join(root, 'link'))
  await assert.rejects(bucket.put('link/deep/x', BODY, sha256(BODY)), isError('key_escapes', 'configuration'))
  await assert.rejects(bucket.get('link/secret'), isError('key_escapes', 'configuration'))
  await assert.rejects(keysOf(bucket.list('link/')), isError('key_escapes', 'configuration'))
  assert.deepEqual(await keysOf(bucket.list('')), [])
  assert.deepEqual(await fs.readdir(path.join(directory, 'outside')), ['secret'])
})

test('local: bytes that are not those of the hash are refused before anything is touched', async (context) => {
  const root = path.join(await temporary(context), 'root')
  const put = new LocalBucket(root).put('x', BODY, sha256(Buffer.from('other')))
  await assert.rejects(put, isError('bad_digest', 'integrity'))
  await assert.rejects(fs.stat(root))
})

test('local: bytes are synced before the name, the name before put returns, new directories too', async (context) => {
  const root = await temporary(context)
  const bucket = new LocalBucket(root)
  const calls: string[] = []
  const open = fs.open
  context.mock.method(fs, 'open', async (file: string, ...rest: [string, number]) => {
    const handle: FileHandle = await open(file, ...rest)
    const sync = handle.sync.bind(handle)
    const place = path.relative(root, file).replace(/\.l2cap-tmp-\d+-[0-9a-f]{16}$/, 'TEMPORARY')
    handle.sync = async () => {
      calls.push(`sync ${place}`)
      await sync()
    }
    return handle
  })
  const rename = fs.rename
  context.mock.method(fs, 'rename', async (from: string, to: string) => {
    calls.push(`rename to ${path.relative(root, to)}`)
    await rename(from, to)
  })
  await bucket.put('a/b/x', BODY, sha256(BODY))
  assert.deepEqual(calls, ['sync ', 'sync a', 'sync a/b/TEMPORARY', 'rename to a/b/x', 'sync a/b'])
})

test('local: leftovers of dead writers go at the first put; young ones, and what is not ours, stay', async (context) => {
  const root = await temporary(context)
  const now = Date.now()
  const hour = 3_600_000
  const files: [string, number][] = [
    ['.l2cap-tmp-77-0123456789abcdef', now - hour - 1000],
    ['.l2cap-tmp-78-0123456789abcdef', now - hour + 60_000],
    ['.l2cap-tmp-notes', now - 100 * hour],
    ['x.parquet', now - 100 * hour],
  ]
  await fs.mkdir(path.join(root, 'deep'))
  for (const [name, modifiedMs] of files) {
    await fs.writeFile(path.join(root, 'deep', name), 'x')
    await fs.utimes(path.join(root, 'deep', name), modifiedMs / 1000, modifiedMs / 1000)
  }
  const found: object[] = []
  const bucket = new LocalBucket(root, { nowMs: () => now, onLeftovers: (each) => found.push(each) })
  assert.deepEqual(await keysOf(bucket.list('')), ['deep/x.parquet'], 'unfinished objects are not listed')
  await bucket.put('y', BODY, sha256(BODY))
  await bucket.put('z', BODY, sha256(BODY))
  assert.deepEqual(found, [{ removed: 1, kept: 1, refused: 0 }])
  assert.deepEqual(
    (await fs.readdir(path.join(root, 'deep'))).sort(),
    files
      .slice(1)
      .map(([name]) => name)
      .sort(),
  )
})

test('local: a file where a directory is needed, a directory where the object goes', async (context) => {
  const root = await temporary(context)
  await fs.writeFile(path.join(root, 'file'), 'x')
  await fs.mkdir(path.join(root, 'folder'))
  const notDirectory = isError('not_a_directory', 'configuration')
  await assert.rejects(new LocalBucket(path.join(root, 'file')).put('x', BODY, sha256(BODY)), notDirectory)
  await assert.rejects(keysOf(new LocalBucket(path.join(root, 'file')).list('')), notDirectory)
  await assert.rejects(new LocalBucket(root).put('file/x', BODY, sha256(BODY)), notDirectory)
  await assert.rejects(
    new LocalBucket(root).put('folder', BODY, sha256(BODY)),
    isError('not_a_file', 'configuration'),
  )
  await assert.rejects(
    new LocalBucket(root).put('n'.repeat(300), BODY, sha256(BODY)),
    isError('name_too_long', 'configuration'),
  )
  assert.deepEqual((await fs.readdir(root)).sort(), ['file', 'folder'], 'no unfinished object stays')
})

test('local: a full disk leaves the old object and no unfinished one, and is tried again', async (context) => {
  const root = await temporary(context)
  const bucket = new LocalBucket(root)
  await bucket.put('x', BODY, sha256(BODY))
  const open = fs.open
  const full = context.mock.method(fs, 'open', async (file: string, ...rest: [string, number]) => {
    const handle = await open(file, ...rest)
    if (rest[0] === 'wx') handle.writeFile = () => Promise.reject(systemError('ENOSPC'))
    return handle
  })
  const next = Buffer.from('the next')
  await assert.rejects(bucket.put('x', next, sha256(next)), isError('no_space', 'transient'))
  assert.deepEqual(await fs.readdir(root), ['x'])
  assert.equal(String(await bucket.get('x')), String(BODY))
  full.mock.restore()
  await bucket.put('x', next, sha256(next))
  assert.equal(String(await bucket.get('x')), 'the next')
})

test('local: a failed fsync fails the put; the object is not there', async (context) => {
  const root = await temporary(context)
  const bucket = new LocalBucket(root)
  const open = fs.open
  context.mock.method(fs, 'open', async (file: string, ...rest: [string, number]) => {
    const handle = await open(file, ...rest)
    if (rest[0] === 'wx') handle.sync = () => Promise.reject(systemError('EIO'))
    return handle
  })
  await assert.rejects(bucket.put('x', BODY, sha256(BODY)), isError('disk_error', 'integrity'))
  assert.deepEqual(await fs.readdir(root), [])
})

test('local: a read-only directory is named, with what to do', async (context) => {
  const root = await temporary(context)
  for (const [code, expected] of [
    ['EROFS', 'read_only'],
    ['EACCES', 'not_permitted'],
  ] as const) {
    const bucket = new LocalBucket(root)
    const mkdir = context.mock.method(fs, 'mkdir', () => Promise.reject(systemError(code)))
    await assert.rejects(bucket.put('a/x', BODY, sha256(BODY)), (error) => {
      isError(expected, 'configuration')(error)
      assert.ok(error instanceof Error)
      assert.match(error.message, new RegExp(`${root}.*a/x.*choose another directory.*${code}`))
      return true
    })
    mkdir.mock.restore()
  }
})

test('local: every system error has a meaning, an unforeseen one keeps its code', () => {
  for (const [system, code, errorClass] of [
    ['EPERM', 'not_permitted', 'configuration'],
    ['EDQUOT', 'no_space', 'transient'],
    ['EIO', 'disk_error', 'integrity'],
    ['EMFILE', 'io_error', 'transient'],
    ['EWHATEVER', 'io_error', 'transient'],
  ] as const) {
    const error = explainLocalError(systemError(system), 'directory /d: writing x')
    isError(code, errorClass)(error)
    assert.ok(error.message.startsWith('directory /d: writing x: ') && error.message.includes(system))
  }
})
