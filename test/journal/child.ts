/**
 * A process for the tests to kill. `append DIR`: appends messages without end, telling how many bytes the
 * file system has taken. `lock DIR`: takes the spool's lock, tells the outcome, and holds it.
 */
import { acquireSpoolLock, SegmentWriter } from '../../capture/journal/mod.ts'
import { CHECKPOINT, header, message } from './helpers.ts'

const [what, dir = ''] = process.argv.slice(2)

function tell(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

if (what === 'lock') {
  try {
    // The lock is not kept on purpose, and garbage is collected: it must hold all the same.
    acquireSpoolLock(dir)
    setImmediate(() => {
      if (!globalThis.gc) throw new Error('run this with --expose-gc')
      globalThis.gc()
    })
    setImmediate(() => tell({ locked: true, pid: process.pid }))
    process.stdin.resume()
  } catch (error) {
    const { code, message } = error as { code?: string; message?: string }
    tell({ locked: false, code, message })
  }
} else {
  const onError = (error: Error) => tell({ error: error.message })
  const writer = SegmentWriter.open({ dir, header: header(), checkpoint: CHECKPOINT, onError })
  let n = 0
  setInterval(() => {
    for (let burst = 0; burst < 20; burst++) writer.append(message(n++, 200 + (n % 700)))
    tell({ written: writer.writtenBytes, inputs: n })
  }, 1)
}
