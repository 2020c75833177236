import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { randomPort } from '../s3/ports.ts'
import { startExchange } from './local-exchange.ts'

const PROGRAM = fileURLToPath(new URL('./stop-program.ts', import.meta.url))
const EXIT_MS_MAX = 120_000

/** Runs a process that starts a feed, stops it and then has nothing to do. */
async function run(
  base: string,
  stopsAt: 'sent' | 'tick',
): Promise<{ code: number | null; signal: string | null; output: string }> {
  const child = spawn(process.execPath, [PROGRAM, base, stopsAt], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: EXIT_MS_MAX,
  })
  let output = ''
  child.stdout.on('data', (chunk) => {
    output += String(chunk)
  })
  return new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal, output })))
}

test('stop: leaves no handle open: a process that does nothing else ends by itself', async () => {
  const exchange = await startExchange()
  exchange.onSocket = (socket) => socket.send('{"result":null,"id":1}')
  // the request that is on its way at the stop is never answered
  exchange.answers.set('/fapi/v1/depth', () => {})
  try {
    const { code, signal, output } = await run(exchange.base, 'sent')
    assert.deepEqual([code, signal], [0, null])
    assert.match(output, /opened.*message.*sent.*closed closed $/)
  } finally {
    await exchange.close()
  }
})

test('stop: ends a process whose exchange was never reached', async () => {
  const exchange = await startExchange(randomPort())
  await exchange.close()
  const { code, signal, output } = await run(exchange.base, 'tick')
  assert.deepEqual([code, signal], [0, null])
  assert.match(output, /^(tick |sent |response |overload )*$/)
})
