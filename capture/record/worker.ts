import { parentPort } from 'node:worker_threads'
import { recordClosing, recordSegment } from './record.ts'
import type { Order, Result } from './recorder.ts'

/** The worker's side: one order at a time, each answered by its outcome or by the error that ended it. */
if (parentPort === null) throw new Error('this file runs as a worker thread')
const port = parentPort
port.on('message', (order: Order) => {
  const done: Promise<Result> =
    'segment' in order ? recordSegment(order.segment) : recordClosing(order.closing)
  done.then(
    (result) => port.postMessage({ result }),
    (error: unknown) => {
      const { message, code } =
        error instanceof Error ? (error as NodeJS.ErrnoException) : { message: String(error), code: '' }
      port.postMessage({ error: { message, code: code ?? '' } })
    },
  )
})
