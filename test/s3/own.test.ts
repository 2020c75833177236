/** The servers of these tests are what tests take them for. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as moment } from 'node:timers/promises'
import { serverKind } from './binary.ts'
import { makeClient } from './client.ts'
import { S3Server, startS3 } from './server.ts'
import { givenStore, ownStore, serverProblem } from './store.ts'

const DEADLINE_MS = 120_000
const problem = serverProblem()
const own = problem === '' ? { timeout: 1_200_000 } : { skip: problem }
const hasGuard = spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true']).status === 0

describe('the store of a test', () => {
  test('without an endpoint no client is made: it would speak to the vendor', () => {
    const credentials = { accessKeyId: 'a', secretAccessKey: 'b' }
    assert.throws(() => makeClient({ endpoint: '', region: 'us-east-1', credentials }), /no endpoint/)
    assert.equal(process.env['AWS_EC2_METADATA_DISABLED'], 'true')
  })

  test('somebody’s own store is given whole, or not at all', () => {
    assert.equal(givenStore({}), undefined)
    const half = { L2CAP_TEST_S3_ENDPOINT: 'http://s3.example', L2CAP_TEST_S3_BUCKET: 'b' }
    assert.throws(() => givenStore(half), /set L2CAP_TEST_S3_ACCESS_KEY, L2CAP_TEST_S3_SECRET_KEY, too/)
    const whole = { ...half, L2CAP_TEST_S3_ACCESS_KEY: 'k', L2CAP_TEST_S3_SECRET_KEY: 's' }
    assert.equal(givenStore(whole)?.region, 'us-east-1')
    assert.throws(() => serverKind({ L2CAP_TEST_S3_SERVER: 'other' }), /no S3 server "other"/)
  })

  test('a port that somebody else listens on is not taken for ours', own, async (t) => {
    const { server } = await ownStore(t)
    const second = new S3Server(server.kind, { port: server.port })
    t.after(() => second.remove())
    await assert.rejects(second.start(), /did not get ready/)
    assert.equal(server.isRunning, true)
  })

  test('killed and started again, it is on the same address with the same data', own, async (t) => {
    const store = await ownStore(t)
    const { endpoint } = store.server
    await store.put('a/b', Buffer.from('kept'))
    await store.server.kill()
    await store.server.start()
    assert.equal(store.server.endpoint, endpoint)
    assert.equal(String(await store.truth('a/b')), 'kept')
    assert.deepEqual(await store.keys(), ['a/b'])
  })

  const guarded = hasGuard
    ? own
    : { skip: 'no setpriv on this machine: servers outlive a test that is killed' }
  test('it dies with the process that started it, however that ends', guarded, async (t) => {
    const module = JSON.stringify(join(import.meta.dirname, 'server.ts'))
    const program = `const { startS3 } = await import(${module}); const { pid, dir } = await startS3(); console.log(JSON.stringify({ pid, dir })); setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    t.after(() => child.kill('SIGKILL'))
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    const { pid, dir } = JSON.parse(String(line)) as { pid: number; dir: string }
    child.kill('SIGKILL')
    const end = performance.now() + DEADLINE_MS
    while (isAlive(pid)) {
      assert.ok(performance.now() < end, 'it outlives its parent')
      await moment(10)
    }
    new S3Server(serverKind(), { dir }).remove()
    assert.ok(!existsSync(dir))
  })

  test('TLS: nobody who does not know the authority gets through', own, async (t) => {
    const server = await startS3({ tls: true })
    t.after(() => server.remove())
    await assert.rejects(fetch(server.endpoint), (error: unknown) => {
      assert.match(String(error instanceof Error ? error.cause : ''), /certificate|issuer/)
      return true
    })
    assert.match(server.ca ?? '', /BEGIN CERTIFICATE/)
  })
})

/** A zombie that nobody waits for is dead. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}
