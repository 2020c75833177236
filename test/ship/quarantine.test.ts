import assert from 'node:assert/strict'
import fs from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { NameError } from '../../api/names.ts'
import { quarantineKey } from '../../capture/ship/keys.ts'
import { listQuarantined, shipQuarantined } from '../../capture/ship/quarantine.ts'
import { Shipper } from '../../capture/ship/shipper.ts'
import { openSpool, type Spool } from '../../capture/ship/spool.ts'
import { EvilBucket, FAULTS, recordWindow, temporary } from './fixture.ts'

const MARKET = { prefix: 'l2', exchange: 'BinanceUsdm', symbol: '币安人生USDT' }
const NAME = '20261122T120457123Z-1a2b3c4d-000042.journal'
const OTHER = '20261122T120457123Z-1a2b3c4d-000043.journal'
const KEY = `l2/quarantine/exchange=BinanceUsdm/symbol=${encodeURIComponent(MARKET.symbol)}/${NAME}`
const BODY = Buffer.from('what no replay vouches for')

async function quarantined(directory: string): Promise<Spool> {
  const spool = await openSpool(path.join(directory, 'spool'))
  await fs.writeFile(path.join(spool.paths.quarantine, NAME), BODY)
  return spool
}

function localBytes(spool: Spool, name = NAME): Promise<Buffer> {
  return fs.readFile(path.join(spool.paths.quarantine, name))
}

test('quarantine: a segment is shipped as it is, proven, and an empty file of its name stays', async (context) => {
  const spool = await quarantined(await temporary(context))
  const bucket = new EvilBucket()
  assert.deepEqual(await listQuarantined(spool), [NAME])
  await shipQuarantined(bucket, spool, NAME, MARKET)
  assert.deepEqual(bucket.calls, [`get ${KEY}`, `put ${KEY}`, `get ${KEY}`])
  assert.deepEqual([...bucket.stored], [[KEY, BODY]])
  assert.equal((await localBytes(spool)).length, 0)
  assert.deepEqual(await listQuarantined(spool), [])
  assert.deepEqual(await fs.readdir(spool.paths.tmp), [])
  assert.equal((await spool.usage()).quarantinedBytes, 0)
})

test('quarantine: whatever the store does, the local bytes stay until the store gives them back', async (context) => {
  const root = await temporary(context)
  let made = 0
  const fault = fc.constantFrom(...FAULTS)
  await fc.assert(
    fc.asyncProperty(fc.array(fault, { maxLength: 12 }), async (faults) => {
      const spool = await quarantined(path.join(root, String(made++)))
      const bucket = new EvilBucket()
      const left = [...faults]
      bucket.fault = () => left.shift() ?? 'none'
      for (let tries = 0; tries <= faults.length; tries++) {
        await shipQuarantined(bucket, spool, NAME, MARKET).catch(() => undefined)
        const local = await localBytes(spool)
        if (local.length === 0) return assert.deepEqual(bucket.stored.get(KEY), BODY)
        assert.deepEqual(local, BODY)
      }
      assert.fail('it was never shipped')
    }),
    { numRuns: 60 },
  )
})

test('quarantine: windows go first, then what is in quarantine; a drain waits for both', async (context) => {
  const spool = await quarantined(await temporary(context))
  await fs.writeFile(path.join(spool.paths.quarantine, OTHER), BODY)
  await recordWindow(spool, { window: 1, streams: ['coverage'] })
  const bucket = new EvilBucket()
  const shipper = new Shipper({
    bucket,
    spool,
    quarantineTo: MARKET,
    timers: { nowMs: () => 0, setTimer: () => () => undefined },
    random: () => 0,
    log: { info: () => undefined, warn: () => undefined },
  })
  assert.deepEqual(await shipper.drain(), { drained: true, unshippedBytes: 0 })
  await shipper.stop()
  const puts = bucket.calls.filter((call) => call.startsWith('put'))
  assert.equal(puts.length, 4)
  assert.ok(puts.slice(0, 2).every((call) => !call.includes('quarantine/')))
  assert.deepEqual(puts.slice(2), [`put ${KEY}`, `put ${KEY.replace(NAME, OTHER)}`])
  const { counts } = shipper
  assert.deepEqual([counts.attempts, counts.committed, counts.quarantined], [3, 1, 2])
  assert.deepEqual((await fs.readdir(spool.paths.quarantine)).sort(), [NAME, OTHER])
})

test('quarantine: a name that is no key is refused', () => {
  for (const name of ['', '..', 'a\\b', '\u0007']) {
    assert.throws(() => quarantineKey(MARKET, name), NameError, JSON.stringify(name))
  }
})
