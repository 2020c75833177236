import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Handover } from '../../capture/process/handover.ts'
import {
  type Bucket,
  BucketError,
  keyOfManifest,
  type ManifestFields,
  objectKey,
  parseTimeUs,
  sealManifest,
  serialiseManifest,
} from '../../capture/ship/mod.ts'

const MARKET = { prefix: '', exchange: 'BinanceUsdm', symbol: 'BTCUSDT' }
const NOW_MS = Date.UTC(2026, 10, 22, 0, 10)
const OPENED = '2026-11-22T00:05:00.000000Z'
const EARLY_RUN = '20261121T230000000Z-00000001'
const LATE_RUN = '20261122T000000000Z-00000002'
const QUIET_MS = 60_000
const DAY_MS = 86_400_000
const REACHED = { trades: { id: '7', time: OPENED } }

/** The name of a run that began then. */
function runAt(ms: number): string {
  return `${new Date(ms).toISOString().replace(/[-:.]/g, '')}-00000001`
}

/** A bucket whose time goes on with each wait; `steps` happen at each wait, in order. */
class Scene {
  readonly objects = new Map<string, Buffer>()
  isAway = false
  gets = 0
  /** When each listing was asked for, on the scene's clock. */
  readonly listedMs: number[] = []
  elapsedMs = 0
  readonly #steps: (() => void)[]

  constructor(steps: (() => void)[] = []) {
    this.#steps = steps
  }

  put(pod: string, run: string, window: number, change: Partial<ManifestFields> = {}): void {
    const opened = change.opened ?? OPENED
    const openedUs = parseTimeUs(opened)
    const key = objectKey({ ...MARKET, stream: 'coverage', openedUs, run, window })
    const [first_seq, last_seq, first_id, last_id] = ['0', '0', '0', '0']
    const manifest = sealManifest({
      ...{ format: 1, exchange: MARKET.exchange, symbol: MARKET.symbol, run, window, closed: opened },
      objects: [
        {
          ...{ stream: 'coverage', key, bytes: 1, rows: 0, sha256: '0'.repeat(64) },
          ...{ first_seq, last_seq, first_id, last_id, first_time: null, last_time: null },
        },
      ],
      ...{ coverage: [], counts: {}, witness: 'none', written_by: '', recorded_by: '' },
      writer: { capture: '', uid: '', pod, pod_uid: `uid-${pod}`, node: '' },
      ...{ predecessor: null, final: false, overlaps: false, reached: REACHED },
      ...change,
      opened,
    })
    this.objects.set(keyOfManifest(manifest), serialiseManifest(manifest))
  }

  /** `since`: when the predecessor was made; null where nobody told. */
  handover(since: string | null = '2026-11-21T22:00:00Z'): Handover {
    const { objects } = this
    const listed = () => this.listedMs.push(this.elapsedMs)
    const answer = () => {
      if (this.isAway) throw new BucketError('away', 'transient', 'the store is away')
    }
    const bucket: Bucket = {
      description: 'memory',
      put: () => assert.fail('nothing is written'),
      get: async (key) => {
        answer()
        this.gets++
        return objects.get(key)
      },
      async *list(prefix) {
        answer()
        listed()
        for (const key of [...objects.keys()].sort())
          if (key.startsWith(prefix)) yield { key, bytes: 1, modifiedMs: 0 }
      },
    }
    return new Handover({
      bucket,
      market: MARKET,
      predecessor: { pod: 'a', uid: 'uid-a', since: since ?? undefined },
      quietMsMax: QUIET_MS,
      nowMs: () => NOW_MS + this.elapsedMs,
      monotonicMs: () => this.elapsedMs,
      wait: async (ms) => {
        this.elapsedMs += ms
        this.#steps.shift()?.()
      },
      log: { info: () => {}, warn: () => {} },
    })
  }
}

describe('the predecessor', () => {
  it('has ended when the last manifest of its latest run says so', async () => {
    const scene: Scene = new Scene([
      () => scene.put('a', LATE_RUN, 1),
      () => scene.put('a', LATE_RUN, 2, { final: true, reached: { trades: { id: '9', time: OPENED } } }),
    ])
    scene.put('a', LATE_RUN, 0)
    const settled = await scene.handover().settle()
    assert.deepEqual(settled, { how: 'final', reached: { trades: { id: '9', time: OPENED } }, seconds: 10 })
  })

  it('has not ended by a last word after which it began another run', async () => {
    const scene = new Scene()
    scene.put('a', EARLY_RUN, 4, { final: true })
    scene.put('a', LATE_RUN, 0)
    assert.equal((await scene.handover().settle()).how, 'deadline')
  })

  it('is no other pod, and no pod of the same name before it', async () => {
    const scene = new Scene()
    scene.put('b', LATE_RUN, 4, { final: true })
    scene.put('a', EARLY_RUN, 4, {
      final: true,
      writer: { capture: '', uid: '', pod: 'a', pod_uid: 'another', node: '' },
    })
    const { how, seconds } = await scene.handover().settle()
    assert.deepEqual([how, seconds], ['deadline', 60])
  })

  it('is found yesterday too', async () => {
    const scene = new Scene()
    scene.put('a', EARLY_RUN, 4, { final: true, opened: '2026-11-21T23:55:00.000000Z' })
    assert.equal((await scene.handover().settle()).how, 'final')
  })

  it('is found by a last word of days ago, at once', async () => {
    const scene = new Scene()
    scene.put('a', '20261117T230000000Z-00000001', 0, { final: true, opened: '2026-11-17T23:05:00.000000Z' })
    for (const since of ['2026-11-17T22:00:00Z', null]) {
      const { how, reached, seconds } = await scene.handover(since).settle()
      assert.deepEqual([how, reached, seconds], ['final', REACHED, 0])
    }
  })

  it('is found though its clock is behind that of the cluster, across midnight', async () => {
    const scene = new Scene()
    scene.put('a', '20261117T235958000Z-00000001', 0, { final: true, opened: '2026-11-17T23:59:58.000000Z' })
    assert.equal((await scene.handover('2026-11-18T00:00:01Z').settle()).how, 'final')
  })

  it('publishes what it recorded days ago: each window of it counts, and the last word ends it', async () => {
    const run = '20261119T000000000Z-00000001'
    const scene: Scene = new Scene(
      Array.from({ length: 60 }, (_, i) => () => {
        const day = 19 + Math.floor(i / 20)
        const opened = `2026-11-${day}T00:05:00.000000Z`
        scene.put('a', run, i, { opened, final: i === 59, reached: { trades: { id: `${i}`, time: opened } } })
      }),
    )
    const { how, reached } = await scene.handover('2026-11-19T00:00:00Z').settle()
    assert.deepEqual([how, reached['trades']?.id], ['final', '59'])
  })

  it('is followed to its last word, whatever days it files its windows under and whoever else publishes', async () => {
    const window = fc.record({ daysOn: fc.nat(6), looks: fc.integer({ min: 1, max: 9 }), others: fc.nat(2) })
    await fc.assert(
      fc.asyncProperty(fc.array(window, { minLength: 1, maxLength: 12 }), async (windows) => {
        const days = windows.reduce((sum, { daysOn }) => sum + daysOn, 0)
        const since = NOW_MS - days * DAY_MS
        const steps = windows.flatMap(({ looks, others }, i) => {
          const on = windows.slice(0, i + 1).reduce((sum, { daysOn }) => sum + daysOn, 0)
          const opened = new Date(since + on * DAY_MS).toISOString().replace('Z', '000Z')
          const final = i === windows.length - 1
          const put = () => {
            scene.put('a', runAt(since), i, {
              opened,
              final,
              reached: { trades: { id: `${i}`, time: opened } },
            })
            for (let other = 0; other < others; other++)
              scene.put('b', runAt(since + other + 1), i, { opened })
          }
          return [...Array(looks - 1).fill(() => {}), put]
        })
        const scene: Scene = new Scene(steps)
        const { how, reached } = await scene.handover(new Date(since).toISOString()).settle()
        assert.deepEqual([how, reached['trades']?.id], ['final', `${windows.length - 1}`])
      }),
      { numRuns: 200 },
    )
  })

  it('costs two listings a look once it is found, however old it is', async () => {
    const scene: Scene = new Scene([
      ...Array(9).fill(() => {}),
      () => scene.put('a', LATE_RUN, 7, { final: true }),
    ])
    scene.put('a', LATE_RUN, 6)
    await scene.handover('2024-01-01T00:00:00Z').settle()
    assert.equal(scene.listedMs.length, 22)
  })

  it('costs sixteen listings in five seconds or less while nothing of it is found, but for the first look and the last', async () => {
    const scene = new Scene()
    const { how, seconds } = await scene.handover('2026-10-01T00:00:00Z').settle()
    const days = 54
    const between = scene.listedMs.filter((ms) => ms > 0 && ms < QUIET_MS - 10_000).length
    assert.equal(scene.listedMs.filter((ms) => ms === 0).length, days)
    assert.ok(between <= (QUIET_MS / 5000) * 16, `${between} listings`)
    assert.deepEqual([how, seconds], ['deadline', 60])
  })

  it('is heard before it is given up, on whatever day it files its windows', async () => {
    const scene: Scene = new Scene([
      ...Array(10).fill(() => {}),
      () =>
        scene.put('a', '20251201T000000000Z-00000001', 0, {
          final: true,
          opened: '2025-12-01T00:05:00.000000Z',
        }),
    ])
    assert.equal((await scene.handover(null).settle()).how, 'final')
  })

  it('is not looked for further back than a year', async () => {
    const scene = new Scene()
    await scene.handover('1970-01-01T00:00:00Z').settle()
    const first = scene.listedMs.filter((ms) => ms === 0).length
    assert.equal(first, 366)
  })

  it('is waited for while it publishes, however long that takes', async () => {
    const scene: Scene = new Scene(
      Array.from({ length: 40 }, (_, i) => () => scene.put('a', LATE_RUN, i, { final: i === 39 })),
    )
    const { how, seconds } = await scene.handover().settle()
    assert.deepEqual([how, seconds], ['final', 200])
  })

  it('is not given up while the store does not answer', async () => {
    const scene: Scene = new Scene([
      ...Array.from({ length: 400 }, () => () => {
        scene.isAway = true
      }),
      () => {
        scene.isAway = false
      },
    ])
    scene.put('a', LATE_RUN, 0)
    const { how, reached, seconds } = await scene.handover().settle()
    assert.deepEqual([how, reached], ['deadline', REACHED])
    assert.ok(seconds >= 2000 + 60, `${seconds} s`)
  })

  it('may have been waiting for its own: then it is succeeded at what anybody published', async () => {
    const scene = new Scene()
    scene.put('before', EARLY_RUN, 3, { final: true })
    assert.deepEqual(await scene.handover().settle(), { how: 'deadline', reached: REACHED, seconds: 60 })
  })

  it('costs one request for each run, and one for each new window', async () => {
    const scene: Scene = new Scene([
      ...Array(5).fill(() => {}),
      () => scene.put('a', LATE_RUN, 7, { final: true }),
    ])
    for (let window = 0; window < 7; window++) scene.put('a', LATE_RUN, window)
    for (let window = 0; window < 50; window++) scene.put('b', EARLY_RUN, window)
    await scene.handover().settle()
    assert.ok(scene.gets <= 4, `${scene.gets} requests`)
  })
})
