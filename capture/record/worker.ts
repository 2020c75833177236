import { parentPort } from 'node:worker_threads'
import { type RecordOptions, recordSegment } from './record.ts'

/** The worker's side: one segment at a time, each answered by its outcome or by the error that ended it. */
if (parentPort === null) throw new Error('this file runs as a worker thread')
const port = parentPort
port.on('message', (options: RecordOptions) => {
  recordSegment(options).then(
    (outcome) => port.postMessage({ outcome }),
    (error: unknown) => {
      const { message, code } =
        error instanceof Error ? (error as NodeJS.ErrnoException) : { message: String(error), code: '' }
      port.postMessage({ error: { message, code: code ?? '' } })
    },
  )
})
