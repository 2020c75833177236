import assert from 'node:assert/strict'
import { mkdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { Report } from '../../api/report.ts'
import { acquireSpoolLock } from '../../capture/journal/mod.ts'
import { endsBefore } from '../../capture/process/killed.ts'
import { KILLED } from '../../capture/process/report.ts'
import { spoolPaths } from '../../capture/ship/mod.ts'
import { keptLog } from '../feed/local-exchange.ts'
import { withDirectory } from '../support/run.ts'

const STARTED = '2026-11-22T12:00:00.000Z'
const WRITTEN = '2026-11-22T12:34:56.000Z'

const halted: Report = {
  ...{ reason: 'CrossedBook', message: '', symbol: 'BTCUSDT', run: 'r', exitCode: 11, haltsInARow: 2 },
  ...{ at: '2026-11-22T11:59:59.000000Z', previous: null, unshippedBytes: 0, quarantinedBytes: 0 },
}

/** A spool as a killed process leaves it: its note in the lock, a journal, and the report of the one before it. */
async function left(dir: string, report: Report): Promise<void> {
  const paths = spoolPaths(dir)
  await mkdir(paths.journal)
  await writeFile(join(dir, 'lock.json'), JSON.stringify({ pid: 4711, host: 'node-a', startedAt: STARTED }))
  await writeFile(paths.report, JSON.stringify(report))
  const segment = join(paths.journal, 'segment')
  await writeFile(segment, '')
  await utimes(segment, new Date(WRITTEN), new Date(WRITTEN))
}

async function ends(dir: string) {
  const lock = acquireSpoolLock(dir)
  try {
    return await endsBefore(spoolPaths(dir), lock, 'BTCUSDT', keptLog())
  } finally {
    lock.release()
  }
}

describe('a process that was killed', () => {
  it('is named by the next start: Killed, its last write, and among the halts that are remembered', () =>
    withDirectory(async (dir) => {
      await left(dir, halted)
      const { report, halts } = await ends(dir)
      assert.deepEqual([report?.reason, report?.at], [KILLED, '2026-11-22T12:34:56.000000Z'])
      assert.match(report?.message ?? '', /^process 4711 on node-a ended without a report/)
      assert.equal(report?.haltsInARow, 2, 'a kill is no halt, and does not make those before it forgotten')
      assert.deepEqual(
        halts.map(({ reason, at }) => [reason, at]),
        [[KILLED, '2026-11-22T12:34:56.000000Z']],
      )
      const kept = JSON.parse(await readFile(spoolPaths(dir).halts, 'utf8')) as unknown[]
      assert.equal(kept.length, 1, 'on disk at once: the next kill must not hide this one')
    }))

  it('one that wrote its report and was killed after it is told by that', () =>
    withDirectory(async (dir) => {
      await left(dir, { ...halted, at: '2026-11-22T12:30:00.000000Z' })
      const { report, halts } = await ends(dir)
      assert.deepEqual([report?.reason, halts], ['CrossedBook', []])
    }))

  it('one that gave its spool back is none, whatever it reported', () =>
    withDirectory(async (dir) => {
      await mkdir(spoolPaths(dir).journal)
      acquireSpoolLock(dir).release()
      assert.deepEqual(await ends(dir), { report: undefined, halts: [] })
    }))
})
