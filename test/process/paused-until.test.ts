import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { PauseFile, readPausedUntil } from '../../capture/process/paused-until.ts'
import { keptLog } from '../feed/local-exchange.ts'
import { withDirectory } from '../support/run.ts'

describe('the end of a pause', () => {
  it('is kept over a restart, the latest of many', () =>
    withDirectory(async (dir) => {
      const path = join(dir, 'paused-until')
      const log = keptLog()
      assert.equal(await readPausedUntil(path, log), 0)
      const file = new PauseFile(path, log)
      for (let i = 1; i <= 50; i++) file.remember(1_795_600_000_000 + i)
      await file.settled()
      assert.equal(await readPausedUntil(path, log), 1_795_600_000_050)
      assert.deepEqual(await readdir(dir), ['paused-until'])
      assert.deepEqual(log.lines, [])
    }))

  it('garbage is ignored aloud', () =>
    withDirectory(async (dir) => {
      const path = join(dir, 'paused-until')
      for (const text of ['', 'soon', '-1', '1e99', '12 13', '9'.repeat(40), '{"until":1}']) {
        const log = keptLog()
        await writeFile(path, text)
        assert.equal(await readPausedUntil(path, log), 0, JSON.stringify(text))
        assert.equal(log.lines.length, 1)
      }
    }))

  it('a disk that takes none is told, and nothing fails', () =>
    withDirectory(async (dir) => {
      const path = join(dir, 'paused-until')
      await mkdir(path)
      const log = keptLog()
      const file = new PauseFile(path, log)
      file.remember(5)
      await file.settled()
      assert.match(log.lines.join(), /a restart forgets it/)
      await assert.rejects(readFile(path))
    }))
})
