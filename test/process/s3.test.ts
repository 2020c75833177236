import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { CaptureStatus } from '../../capture/process/status.ts'
import { EvilStore } from '../s3/evil/store.ts'
import { s3Problem, startS3 } from '../s3/server.ts'
import { startSim } from '../sim/mod.ts'
import { CaptureProcess } from '../support/capture.ts'
import { withDirectory } from '../support/run.ts'

const MAIN = fileURLToPath(new URL('../../capture/main.ts', import.meta.url))
const DEADLINE_MS = 180_000
const LOOK_EVERY_MS = 50
/** A request that nobody answers ends after 30 s; one that is waited for would show. */
const END_MS_MAX = 20_000
const problem = s3Problem('versitygw')

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((listening) => server.once('listening', listening))
  const { port } = server.address() as AddressInfo
  await new Promise((closed) => server.close(closed))
  return port
}

test(
  'a pod whose Secret is missing captures, is ready, says CredentialsMissing, and ships once the files are there',
  problem === '' ? { timeout: 2 * DEADLINE_MS } : { skip: problem },
  (t) =>
    withDirectory(async (dir) => {
      const server = await startS3({ server: 'versitygw' })
      t.after(() => server.remove())
      await server.makeBucket('market-data')
      const sim = await startSim({ seed: 5, symbols: ['BTCUSDT'] })
      t.after(() => sim.stop())
      const [port, credentialsDir] = [await freePort(), join(dir, 'secret')]
      const config = {
        ...{ exchange: 'BinanceUsdm', symbol: 'BTCUSDT', rotationSeconds: 2, endpoints: sim.endpoints, port },
        spool: { dir: join(dir, 'spool') },
        storage: { s3: { bucket: 'market-data', prefix: 'l2', endpoint: server.endpoint, credentialsDir } },
      }
      // these must not be taken instead
      const env = { AWS_ACCESS_KEY_ID: server.accessKey, AWS_SECRET_ACCESS_KEY: server.secretKey }
      const child = spawn(process.execPath, [MAIN], {
        env: { ...process.env, ...env, L2CAP_CONFIG: JSON.stringify(config) },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      t.after(() => child.kill('SIGKILL'))
      let output = ''
      for (const stream of [child.stdout, child.stderr]) {
        stream.on('data', (data: Buffer) => {
          output += data.toString()
        })
      }
      const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
      const ask = async (path: string) => await fetch(`http://127.0.0.1:${port}${path}`)
      const until = async (
        what: string,
        holds: (status: CaptureStatus) => boolean,
      ): Promise<CaptureStatus> => {
        const deadline = performance.now() + DEADLINE_MS
        for (;;) {
          const status = await ask('/status').then(
            async (reply) => (await reply.json()) as CaptureStatus,
            () => undefined, // it does not listen yet
          )
          if (status?.ship !== undefined && holds(status)) return status
          assert.ok(
            performance.now() < deadline,
            `not in time: ${what}\n${JSON.stringify(status)}\n${output}`,
          )
          await new Promise((turn) => setTimeout(turn, LOOK_EVERY_MS))
        }
      }

      const early = await until('the check of the bucket says so', ({ ship }) => ship.check !== null)
      assert.match(early.ship.check ?? '', /^CredentialsMissing: /)
      const waiting = await until(
        'windows wait',
        ({ ship, spool }) => ship.state === 'waiting' && spool.windowsWaiting >= 2,
      )
      assert.match(
        waiting.ship.reason ?? '',
        /^CredentialsMissing: .*create the Secret with the keys AWS_ACCESS_KEY_ID/,
      )
      assert.ok(Date.parse(waiting.ship.since) <= Date.now())
      await until('the book is live', ({ state }) => state === 'live')
      assert.equal((await ask('/readyz')).status, 200, 'storage is no part of readiness')
      const metrics = await (await ask('/metrics')).text()
      assert.match(metrics, /l2cap_ship_waiting\{[^}]*\} 1\n/)
      assert.match(metrics, /l2cap_ship_failures_total\{class="credential",[^}]*\} [1-9]/)

      await mkdir(credentialsDir)
      await writeFile(join(credentialsDir, 'AWS_ACCESS_KEY_ID'), `${server.accessKey}\n`)
      await writeFile(join(credentialsDir, 'AWS_SECRET_ACCESS_KEY'), `${server.secretKey}\n`)
      await until(
        'all is shipped',
        ({ ship, spool }) => ship.lastCommit !== null && ship.check === null && spool.windowsWaiting === 0,
      )
      child.kill('SIGTERM')
      assert.equal(await ended, 0, output)
      for (const secret of [server.secretKey, server.accessKey]) assert.ok(!output.includes(secret))
    }),
)

test(
  'a store that hangs in the check keeps neither the window nor the end of a capture waiting',
  {
    timeout: 2 * DEADLINE_MS,
  },
  (t) =>
    withDirectory(async (dir) => {
      const store = await EvilStore.start()
      t.after(() => store.stop())
      store.inject('hang_reply', { keys: /probe\// })
      const sim = await startSim({ seed: 5, symbols: ['BTCUSDT'] })
      t.after(() => sim.stop())
      const credentialsDir = join(dir, 'secret')
      await mkdir(credentialsDir)
      await writeFile(join(credentialsDir, 'AWS_ACCESS_KEY_ID'), store.accessKey)
      await writeFile(join(credentialsDir, 'AWS_SECRET_ACCESS_KEY'), store.secretKey)
      const { bucket, endpoint } = store
      const capture = new CaptureProcess({
        ...{ dir, symbol: 'BTCUSDT', endpoints: sim.endpoints, rotationSeconds: 3600 },
        storage: { s3: { bucket, prefix: 'cap', endpoint, credentialsDir } },
      })
      t.after(() => capture.kill())
      await capture.until('the book is live', ({ state }) => state === 'live', DEADLINE_MS)
      await capture.until('the check hangs', () => store.fired.has('hang_reply'), DEADLINE_MS)
      const startedMs = performance.now()
      await capture.drain()
      const tookMs = performance.now() - startedMs
      assert.ok(tookMs < END_MS_MAX, `the end took ${tookMs.toFixed(0)} ms`)
      assert.equal(store.objects.keys.filter((key) => /manifest\/.*\.json$/.test(key)).length, 1)
      assert.deepEqual(store.complaints, [])
    }),
)
