/**
 * The baseline as a process: `ws`, the obvious way to rows, one Parquet file at the end, all on the main thread.
 * Arguments: endpoints, the last event's id, where the file goes.
 */
import { writeFileSync } from 'node:fs'
import { WebSocket } from 'ws'
import { ObviousCapture, toParquet } from './obvious.ts'
import { SYMBOL } from './traffic.ts'

const [endpoints, lastId, out] = process.argv.slice(2)
const capture = new ObviousCapture()
const waiting: { payload: Buffer; received: number }[] = []
let asked = false
let loaded = false
const socket = new WebSocket(
  `${endpoints.replace('http', 'ws')}/public/stream?streams=${SYMBOL.toLowerCase()}@depth@100ms`,
  {
    perMessageDeflate: false,
  },
)

async function load(): Promise<void> {
  const response = await fetch(`${endpoints}/fapi/v1/depth?symbol=${SYMBOL}&limit=1000`)
  capture.load(Buffer.from(await response.arrayBuffer()))
  loaded = true
  for (const { payload, received } of waiting.splice(0)) step(payload, received)
}

function step(payload: Buffer, received: number): void {
  capture.step(payload, received)
  if (String(capture.book.lastId) !== lastId) return
  writeFileSync(out, toParquet(capture.rows))
  process.exit(0)
}

socket.on('message', (data: Buffer) => {
  const received = Date.now()
  if (loaded) return step(data, received)
  waiting.push({ payload: data, received })
  if (asked) return
  asked = true
  void load()
})
