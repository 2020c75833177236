import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { haltsInARow, type Report, readReport, writeReport } from '../../capture/process/report.ts'
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
})
