import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { acquireSpoolLock } from '../../capture/journal/mod.ts'
import { mountedDir, temporaryDir } from './helpers.ts'

const CHILD = join(import.meta.dirname, 'child.ts')

interface Told {
  readonly locked: boolean
  readonly pid?: number
  readonly code?: string
  readonly message?: string
}

/** A process that tries to take the lock, and its answer. */
async function contender(t: TestContext, dir: string) {
  const child = spawn(process.execPath, ['--expose-gc', CHILD, 'lock', dir], {
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const exit = new Promise((resolve) => child.once('exit', resolve))
  let stderr = ''
  child.stderr.on('data', (data) => {
    stderr += data
  })
  t.after(() => child.kill('SIGKILL'))
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith('{')) return { child, exit, told: JSON.parse(line) as Told }
  }
  throw new Error(`the process said nothing: ${stderr}`)
}

test('lock: a second process is told who holds the spool, and gets it when that one is killed', {
  timeout: 240_000,
}, async (t) => {
  const dir = temporaryDir(t)
  const first = await contender(t, dir)
  assert.ok(first.told.locked)

  const second = await contender(t, dir)
  assert.equal(second.told.code, 'SpoolLocked')
  const message = second.told.message ?? ''
  const { startedAt } = JSON.parse(readFileSync(join(dir, 'lock.json'), 'utf8'))
  for (const part of [dir, `process ${first.told.pid} `, startedAt, 'another spool directory']) {
    assert.ok(message.includes(part), `${part} in: ${message}`)
  }
  assert.throws(() => acquireSpoolLock(dir), { code: 'SpoolLocked' })

  first.child.kill('SIGKILL')
  await first.exit
  const third = await contender(t, dir)
  assert.ok(third.told.locked, JSON.stringify(third.told))
  assert.throws(() => acquireSpoolLock(dir), new RegExp(`process ${third.told.pid} `))
})

test('lock: within one process too, until it is released', async (t) => {
  const dir = temporaryDir(t)
  const lock = acquireSpoolLock(dir)
  assert.equal(lock.holderProblem, '')
  assert.throws(() => acquireSpoolLock(dir), { code: 'SpoolLocked' })
  assert.equal((await contender(t, dir)).told.code, 'SpoolLocked', 'the refusal did not free it')
  lock.release()
  lock.release()
  assert.ok(!existsSync(join(dir, 'lock.json')))
  const again = acquireSpoolLock(dir)
  again.release()
})

test('lock: a missing or unreadable note of the holder spoils only the message', (t) => {
  const dir = temporaryDir(t)
  const lock = acquireSpoolLock(dir)
  for (const note of ['', '{"pid":"one"}']) {
    writeFileSync(join(dir, 'lock.json'), note)
    assert.throws(() => acquireSpoolLock(dir), /another process, which left no note of itself/)
  }
  lock.release()
})

test('lock: a directory that cannot serve is refused with what to do', (t) => {
  const dir = temporaryDir(t)
  const file = join(dir, 'file')
  writeFileSync(file, '')
  const foreign = join(dir, 'foreign')
  mkdirSync(foreign)
  writeFileSync(join(foreign, 'lock'), 'of somebody else '.repeat(100))
  const taken = join(dir, 'taken')
  mkdirSync(join(taken, 'lock'), { recursive: true })
  for (const path of [join(dir, 'missing'), file, foreign, taken]) {
    assert.throws(() => acquireSpoolLock(path), {
      code: 'SpoolUnusable',
      message: /Give a directory that exists/,
    })
  }
  assert.ok(!existsSync(join(foreign, 'lock.json')))
})

test('lock: a read-only file system is refused, also where a lock file is left on it', (t) => {
  const dir = mountedDir(t, '1m')
  if (!dir) return
  for (const leaveLockFile of [false, true]) {
    if (leaveLockFile) {
      execFileSync('mount', ['-o', 'remount,rw', dir])
      acquireSpoolLock(dir).release()
    }
    execFileSync('mount', ['-o', 'remount,ro', dir])
    assert.throws(() => acquireSpoolLock(dir), { code: 'SpoolUnusable' }, `lock file: ${leaveLockFile}`)
  }
})

test('lock: a full disk keeps nobody from the lock, and names no earlier holder', (t) => {
  const dir = mountedDir(t, '64k')
  if (!dir) return
  acquireSpoolLock(dir).release()
  writeFileSync(join(dir, 'lock.json'), '{"pid":1,"host":"old","startedAt":"long ago"}')
  assert.throws(() => writeFileSync(join(dir, 'filler'), Buffer.alloc(100_000)), { code: 'ENOSPC' })
  const lock = acquireSpoolLock(dir)
  assert.match(lock.holderProblem, /ENOSPC/)
  assert.throws(() => acquireSpoolLock(dir), /left no note/)
  lock.release()
})
