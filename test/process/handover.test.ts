import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { LocalBucket, type Manifest, parseManifest } from '../../capture/ship/mod.ts'
import { verifyBucket } from '../../capture/verify/mod.ts'
import { type Sim, startSim } from '../sim/mod.ts'
import { CaptureProcess } from '../support/capture.ts'
import { judgeBuckets } from '../support/judge.ts'
import { withDirectory } from '../support/run.ts'

const SYMBOL = 'BTCUSDT'

/** A pod's annotations, swapped as the kubelet does: the data folder is a link that is replaced. */
class Podinfo {
  readonly file: string
  readonly #dir: string
  #states = 0

  constructor(dir: string) {
    this.#dir = dir
    this.file = join(dir, 'annotations')
  }

  async set(annotations: Readonly<Record<string, string>>): Promise<void> {
    const state = `..state-${++this.#states}`
    await mkdir(join(this.#dir, state), { recursive: true })
    const lines = Object.entries(annotations).map(([key, value]) => `${key}=${JSON.stringify(value)}\n`)
    await writeFile(join(this.#dir, state, 'annotations'), lines.join(''))
    await symlink(state, join(this.#dir, '..data_tmp'))
    await rename(join(this.#dir, '..data_tmp'), join(this.#dir, '..data'))
    if (!existsSync(this.file)) await symlink('..data/annotations', this.file)
  }
}

/** Pods of one symbol, each with a spool of its own, over one bucket. */
class Pods {
  readonly bucket: string
  readonly #dir: string
  readonly #endpoints: string

  constructor(dir: string, endpoints: string) {
    this.#dir = dir
    this.#endpoints = endpoints
    this.bucket = join(dir, 'data')
  }

  podinfo(name: string): Podinfo {
    return new Podinfo(join(this.#dir, name, 'podinfo'))
  }

  start(
    name: string,
    {
      predecessor,
      handoffSeconds = 0,
      handoverSeconds = 900,
      sim,
    }: {
      predecessor?: string
      handoffSeconds?: number
      handoverSeconds?: number
      sim?: string
    } = {},
  ): CaptureProcess {
    return new CaptureProcess({
      dir: join(this.#dir, name),
      symbol: SYMBOL,
      endpoints: sim ?? this.#endpoints,
      rotationSeconds: 2,
      terminationLog: join(this.#dir, `${name}.termination`),
      storage: { local: { path: this.bucket } },
      pod: {
        ...(predecessor === undefined
          ? {}
          : { predecessor: { pod: predecessor, uid: `uid-${predecessor}` } }),
        handoffSeconds,
        handoverSeconds,
        annotationsFile: join(this.#dir, name, 'podinfo', 'annotations'),
      },
      env: { L2CAP_POD_NAME: name, L2CAP_POD_UID: `uid-${name}`, L2CAP_NODE: 'node-a' },
    })
  }

  async report(name: string): Promise<Record<string, unknown>> {
    return JSON.parse(await readFile(join(this.#dir, `${name}.termination`), 'utf8')) as Record<
      string,
      unknown
    >
  }

  async manifests(): Promise<Manifest[]> {
    const bucket = new LocalBucket(this.bucket)
    const found: Manifest[] = []
    for await (const { key } of bucket.list('manifest/')) {
      const bytes = await bucket.get(key)
      if (bytes !== undefined) found.push(parseManifest(bytes))
    }
    return found
  }

  /** What a stranger, and the oracle, find wrong with the bucket: nothing. */
  async judge(sim: Sim): Promise<void> {
    const { problems } = await verifyBucket(new LocalBucket(this.bucket))
    assert.deepEqual(problems, [])
    await judgeBuckets(sim, SYMBOL, join(this.#dir, 'truth.json'), [{ path: this.bucket }])
  }
}

const isLive = (status: { state: string }) => status.state === 'live'

describe('hand-over', () => {
  let sim: Sim
  before(async () => {
    sim = await startSim({ seed: 21, symbols: [SYMBOL] })
  })
  after(() => sim.stop())

  it('three pods follow each other: a glob holds each event once, and nothing is missing between them', () =>
    withDirectory(async (dir) => {
      const pods = new Pods(dir, sim.endpoints)
      let before = pods.start('a', { handoffSeconds: 2 })
      await before.until('a commit', (status) => status.ship.lastCommit !== null)
      for (const [name, predecessor] of [
        ['b', 'a'],
        ['c', 'b'],
      ] as const) {
        const next = pods.start(name, { predecessor, handoffSeconds: 2 })
        const status = await next.until('the successor to be live', isLive)
        assert.equal(status.handover?.predecessor.pod, predecessor)
        before.child.kill('SIGTERM')
        assert.equal((await before.exit).code, 0, before.output)
        const report = await pods.report(predecessor)
        assert.deepEqual([report['reason'], report['unshippedBytes']], ['Drained', 0])
        await next.until('the hand-over', ({ handover }) => handover === null)
        await next.until('a commit of its own', ({ ship }) => ship.lastCommit !== null)
        before = next
      }
      await before.drain()
      const manifests = await pods.manifests()
      assert.deepEqual(
        manifests.filter(({ final }) => final).map(({ writer, coverage }) => [writer.pod, coverage.length]),
        [
          ['a', 0],
          ['b', 0],
          ['c', 0],
        ],
      )
      assert.ok(manifests.every(({ overlaps }) => !overlaps))
      assert.ok(
        manifests.some(({ predecessor, cut }) => predecessor?.pod === 'b' && cut !== null),
        'the last one cuts at what the one before it published',
      )
      const { coverage } = await verifyBucket(new LocalBucket(pods.bucket))
      for (const { stream, seconds } of coverage) assert.equal(seconds.missing, 0, stream)
      await pods.judge(sim)
    }))

  it('drain: a pod that is told to go ends by itself, and a restart of it opens no socket', () =>
    withDirectory(async (dir) => {
      const pods = new Pods(dir, sim.endpoints)
      const podinfo = pods.podinfo('a')
      await podinfo.set({ 'l2cap.dev/share': '4', 'l2cap.dev/symbol': SYMBOL })
      const first = pods.start('a')
      await first.until('live', isLive)
      await podinfo.set({ 'l2cap.dev/share': '4', 'l2cap.dev/drain': 'true' })
      assert.equal((await first.exit).code, 0, first.output)
      assert.equal((await pods.report('a'))['reason'], 'Drained')
      const before = await pods.manifests()
      assert.equal(before.filter(({ final }) => final).length, 1)
      await rm(join(dir, 'a.termination'))
      // the exchange is not even asked for
      const again = pods.start('a', { sim: 'http://127.0.0.1:9' })
      assert.equal((await again.exit).code, 0, again.output)
      const report = await pods.report('a')
      assert.deepEqual([report['reason'], report['unshippedBytes']], ['Drained', 0])
      assert.equal((await pods.manifests()).length, before.length)
    }))

  it('drain: what a killed process left is published before the pod is gone', () =>
    withDirectory(async (dir) => {
      const pods = new Pods(dir, sim.endpoints)
      const podinfo = pods.podinfo('a')
      const first = pods.start('a')
      await first.until('live', isLive)
      await first.kill()
      await podinfo.set({ 'l2cap.dev/drain': 'true' })
      const again = pods.start('a', { sim: 'http://127.0.0.1:9' })
      assert.equal((await again.exit).code, 0, again.output)
      assert.deepEqual((await pods.report('a'))['unshippedBytes'], 0)
      const manifests = await pods.manifests()
      assert.equal(manifests.at(-1)?.final, true)
      assert.ok(manifests.some(({ coverage }) => coverage.some(({ ended_by }) => ended_by === 'crash')))
      await pods.judge(sim)
    }))

  it('discard: a successor that is not needed leaves nothing in the bucket, however often it starts', () =>
    withDirectory(async (dir) => {
      const pods = new Pods(dir, sim.endpoints)
      const a = pods.start('a')
      await a.until('a commit', ({ ship }) => ship.lastCommit !== null)
      const b = pods.start('b', { predecessor: 'a' })
      await b.until('a window that waits', ({ spool }) => spool.windowsWaiting > 0)
      await pods.podinfo('b').set({ 'l2cap.dev/drain': 'discard' })
      assert.equal((await b.exit).code, 0, b.output)
      assert.equal((await pods.report('b'))['reason'], 'Discarded')
      const again = pods.start('b', { predecessor: 'a', sim: 'http://127.0.0.1:9' })
      assert.equal((await again.exit).code, 0, again.output)
      assert.equal((await pods.report('b'))['reason'], 'Discarded')
      await a.drain()
      assert.ok((await pods.manifests()).every(({ writer }) => writer.pod === 'a'))
      await pods.judge(sim)
    }))

  it('a predecessor that is lost is succeeded after its time, and what follows says that rows may be doubled', () =>
    withDirectory(async (dir) => {
      const pods = new Pods(dir, sim.endpoints)
      const a = pods.start('a')
      await a.until('a commit', ({ ship }) => ship.lastCommit !== null)
      const b = pods.start('b', { predecessor: 'a', handoverSeconds: 3 })
      await b.until('live', isLive)
      await a.kill()
      await b.until('the end of its patience', ({ handover }) => handover === null)
      await b.until('a commit', ({ ship }) => ship.lastCommit !== null)
      // it comes back after all, and publishes what it had
      const back = pods.start('a')
      await back.until('live', isLive)
      await back.drain()
      await b.drain()
      const manifests = await pods.manifests()
      assert.ok(manifests.every(({ writer, overlaps }) => overlaps === (writer.pod === 'b')))
      await pods.judge(sim)
    }))
})
