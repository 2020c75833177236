import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { Report } from '../../api/report.ts'
import {
  HALTS_MAX,
  haltsInARow,
  killedReport,
  readHalts,
  readReport,
  rememberHalt,
  writeReport,
} from '../../capture/process/report.ts'
import { withDirectory } from '../support/run.ts'

const report: Report = {
  reason: 'CrossedBook',
  message: 'best bid 101 is not below best ask 100',
  symbol: 'BTCUSDT',
  run: '20261122T120457123Z-1a2b3c4d',
  at: '2026-11-22T12:05:00.000000Z',
  exitCode: 11,
  haltsInARow: 2,
  previous: { reason: 'CrossedBook', at: '2026-11-22T12:04:00.000000Z' },
  unshippedBytes: 10,
  quarantinedBytes: 0,
}

describe('report', () => {
  it('is written whole, read back, and copied to the termination log', () =>
    withDirectory(async (dir) => {
      const path = join(dir, 'report.json')
      const log = join(dir, 'termination-log')
      await writeReport(report, path, log)
      assert.deepEqual(await readReport(path), report)
      assert.equal(await readFile(log, 'utf8'), await readFile(path, 'utf8'))
    }))

  it('never exceeds 4,096 bytes, whatever the message', () =>
    withDirectory(async (dir) => {
      const path = join(dir, 'report.json')
      const text = await writeReport({ ...report, message: '😀"\\'.repeat(5000) }, path, undefined)
      assert.ok(Buffer.byteLength(text) <= 4096, `${Buffer.byteLength(text)} bytes`)
      assert.equal((await readReport(path))?.reason, 'CrossedBook')
    }))

  it('a missing or damaged report says nothing', () =>
    withDirectory(async (dir) => {
      const path = join(dir, 'report.json')
      assert.equal(await readReport(path), undefined)
      await writeFile(path, '{"reason":')
      assert.equal(await readReport(path), undefined)
    }))

  it('counts halts in a row, and forgets them after ten live minutes', () => {
    assert.equal(haltsInARow('CrossedBook', undefined, 0), 1)
    assert.equal(haltsInARow('CrossedBook', report, 60_000), 3)
    assert.equal(haltsInARow('CrossedBook', report, 600_000), 1)
    assert.equal(haltsInARow('Drained', report, 0), 0)
  })

  it('the last five halts are remembered, the latest first; other ends are none', () =>
    withDirectory(async (dir) => {
      const path = join(dir, 'halts.json')
      assert.deepEqual(await readHalts(path), [])
      for (let i = 0; i < HALTS_MAX + 2; i++) {
        const halt = { ...report, message: `${i}`.repeat(1000), at: `2026-11-22T12:0${i}:00.000000Z` }
        await rememberHalt(halt, await readHalts(path), path)
        await rememberHalt({ ...report, reason: 'Drained' }, await readHalts(path), path)
      }
      const halts = await readHalts(path)
      assert.deepEqual(
        halts.map(({ at }) => at.slice(11, 16)),
        ['12:06', '12:05', '12:04', '12:03', '12:02'],
      )
      assert.ok(halts.every(({ message }) => message.length === 300))
      await writeFile(path, '[{"reason":')
      assert.deepEqual(await readHalts(path), [])
    }))

  it('an internal error and a kill are remembered with the halts, and do not count as one', () =>
    withDirectory(async (dir) => {
      const path = join(dir, 'halts.json')
      const at = '2026-11-22T12:09:00.000000Z'
      const killed = killedReport('BTCUSDT', at, 'ended without a report', report)
      await rememberHalt(killed, await readHalts(path), path)
      await rememberHalt({ ...report, reason: 'InternalError' }, await readHalts(path), path)
      assert.deepEqual(
        (await readHalts(path)).map(({ reason }) => reason),
        ['InternalError', 'Killed'],
      )
      assert.deepEqual(killed.previous, { reason: report.reason, at: report.at })
      assert.equal(haltsInARow('CrossedBook', killed, 0), report.haltsInARow + 1, 'nor does it forget them')
    }))

  it('a report that cannot be written to the spool still reaches the termination log, and says so', () =>
    withDirectory(async (dir) => {
      const log = join(dir, 'termination-log')
      await assert.rejects(writeReport(report, join(dir, 'no', 'report.json'), log), { code: 'ENOENT' })
      assert.equal((JSON.parse(await readFile(log, 'utf8')) as Report).reason, 'CrossedBook')
    }))
})
