/**
 * The store is away for a minute of real time while recorded traffic flows, to two captures at once. One takes in the
 * longest recording, stretched over the whole minute, so that every part of the outage sees real traffic; its coverage
 * must be whole. The other takes in a recording at 60 times its speed: that is over in eight seconds, since no
 * recording is longer than nine minutes, its ids come once and none are made up; all of it comes in the outage. Prices
 * then move faster than audits may follow, so that its book may lose its horizon, by name; nothing else may end its
 * coverage. Drained in the outage, it waits for the store. A market that is heavy for
 * as long as a spool lasts is in full.test.ts.
 */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as moment } from 'node:timers/promises'
import type { CaptureStatus } from '../../capture/process/status.ts'
import { parseTimeUs } from '../../capture/ship/mod.ts'
import { recordingPath, withoutRecordings } from '../sim/client.ts'
import { type Sim, startSim } from '../sim/mod.ts'
import type { CaptureProcess } from '../support/capture.ts'
import { runReader } from '../support/python.ts'
import { goldenFiles, recordingsDir } from '../support/recordings.ts'
import {
  assertInOrder,
  coverageIn,
  eventually,
  OutageScene,
  PATIENCE_MS,
  type Place,
} from './outage-scene.ts'
import { type OwnStore, serverProblem } from './store.ts'

const SYMBOL = 'BTCUSDT'
const LEVELS = 20
const OUTAGE_SECONDS = Number(process.env['OUTAGE_SECONDS'] ?? 60)
/** Before the outage some windows are committed; after it there are some more. */
const AROUND_SECONDS = 20
const STEADY = { name: 'btcusdt-2023-04-04', speed: 514 / (OUTAGE_SECONDS + AROUND_SECONDS) }
const BURST = { name: 'btcusdt-2024-07-18', speed: 60 }
const ROTATION_SECONDS = 3
const LOOK_EVERY_MS = 500
/** A busy machine looks late, and this process is two exchanges as well; that nothing was lost, coverage says in the end. */
const STALL_MS_MAX = 20_000
/** Each stream's last frame comes within so long of the end of its recording. */
const END_MS = 2_000
const MIB = 1024 * 1024
/**
 * Five times what Node gave and took by itself in any run. The disk holds 5 MiB more of recorded traffic in a third of
 * the minute: what each look, try or window leaves behind shows, not whether the backlog is held once.
 */
const GROWTH_BYTES_MAX = 24 * MIB

/** What was seen of a capture while the store was away. */
interface Look {
  readonly atMs: number
  readonly status: CaptureStatus
  readonly rssBytes: number
  readonly ready: boolean
}

/** A recording, and the capture that takes it in from when it begins. */
class Player {
  readonly name: string
  readonly place: Place
  readonly sim: Sim
  /** When the recording was over, ms since the epoch. */
  overAtMs = Number.POSITIVE_INFINITY
  #capture: CaptureProcess | undefined

  constructor(name: string, place: Place, sim: Sim) {
    this.name = name
    this.place = place
    this.sim = sim
    sim.on(({ event }) => {
      if (event === 'end') this.overAtMs = Date.now()
    })
  }

  get capture(): CaptureProcess {
    return this.#capture ?? assert.fail(`${this.name} has not begun`)
  }

  async begin(): Promise<void> {
    this.#capture = await this.place.capture({
      ...{ symbol: SYMBOL, endpoints: this.sim.endpoints },
      ...{ rotationSeconds: ROTATION_SECONDS, bookLevels: LEVELS },
    })
  }
}

const skip = serverProblem() || withoutRecordings()

describe('an outage', skip ? { skip } : {}, () => {
  test(`${OUTAGE_SECONDS} s without the store: the feed never stops, memory is flat, all is shipped in order`, {
    timeout: 1_800_000,
  }, async (t) => {
    const scene = await OutageScene.open()
    const players: Player[] = []
    try {
      // read before anything is timed: a recording plays from its first subscription on
      const steady = await prepare(scene, STEADY)
      const burst = await prepare(scene, BURST)
      players.push(steady, burst)
      await steady.begin()
      await steady.capture.until('the first commit', ({ ship }) => ship.lastCommit !== null, PATIENCE_MS)
      const outage = beginOutage(scene.store)
      await burst.begin()
      const burstEnd = endsInOutage(burst)
      const looks = await outage.over(() => look(steady))
      const { ship, spool } = await burstEnd
      assert.equal(ship.lastCommit, null, 'all of the burst came while the store was away')
      await scene.store.server.start()
      assertFeedFlowed(looks)
      t.diagnostic(described(looks))
      t.diagnostic(`after the burst ${spool.windowsWaiting} windows wait, ${spool.unshippedBytes} bytes`)
      const grown = growthOf(looks)
      assert.ok(grown < GROWTH_BYTES_MAX, `resident memory grew by ${grown} bytes`)

      const told = await Promise.all([
        atEnd(steady).then(() => judge(steady, [])),
        burst.capture.exit.then(() => judge(burst, ['horizon'])),
      ])
      for (const line of told) t.diagnostic(line)
      assert.ok(steady.place.shipped.length > OUTAGE_SECONDS / ROTATION_SECONDS)
    } finally {
      await scene.close()
      for (const { sim } of players) await sim.stop()
    }
  })
})

async function prepare(scene: OutageScene, { name, speed }: typeof STEADY): Promise<Player> {
  const place = await scene.place(name)
  return new Player(name, place, await startSim({ recording: recordingPath(name), speed }))
}

function isOver({ overAtMs }: Player): boolean {
  return Number.isFinite(overAtMs)
}

/** Drains when the recording is over and its last event taken in. */
async function atEnd(player: Player): Promise<void> {
  const lastId = () => String(player.sim.emitted(SYMBOL).depthIds.at(-1)?.[1] ?? '')
  await player.capture.until(
    'the last event',
    ({ streams }) => isOver(player) && streams['depth']?.lastId === lastId(),
    PATIENCE_MS,
  )
  await player.capture.drain()
}

/** Asked to drain when the recording is over, it waits for the store. Resolves to what it held when it was asked. */
async function endsInOutage(player: Player): Promise<CaptureStatus> {
  await eventually('the end of the burst', () => isOver(player))
  const status = await player.place.status()
  player.capture.child.kill('SIGTERM')
  return status
}

/** What lies in the store is the recording, in order, and whole but for the reasons that are allowed. */
async function judge(
  { name, place, capture, overAtMs }: Player,
  allowed: readonly string[],
): Promise<string> {
  const { code } = await capture.exit
  assert.equal(code, 0, capture.output.slice(-3000))
  assertInOrder(place.shipped)
  await place.assertSpoolEmpty(SYMBOL)
  await place.verified()
  const data = await place.mirror()
  const fine = [null, 'stopped', ...allowed]
  // once the recording is over its streams are silent, which a busy machine has time to notice before it drains
  const ended = (await coverageIn(data)).filter(
    (row) => !fine.includes(row.ended_by) && parseTimeUs(row.to) / 1000 < overAtMs - END_MS,
  )
  assert.deepEqual(ended, [], `${name}: coverage goes on to the end`)
  return `${name}: ${place.shipped.length} windows shipped; ${JSON.stringify(await checkRows(data, name))}`
}

/** First it hears nothing, after half of the time there is nobody. Looks are taken until the time is over. */
function beginOutage({ server }: OwnStore) {
  const begun = performance.now()
  const passed = () => (performance.now() - begun) / 1000
  server.pause()
  return {
    async over(look: () => Promise<Look>): Promise<Look[]> {
      const looks: Look[] = []
      while (passed() < OUTAGE_SECONDS) {
        looks.push(await look())
        if (server.isRunning && passed() > OUTAGE_SECONDS / 2) await server.kill()
        await moment(LOOK_EVERY_MS)
      }
      return looks
    },
  }
}

async function look({ capture, place }: Player): Promise<Look> {
  const status = await capture.until('a status', () => true, PATIENCE_MS)
  const resident = await readFile(`/proc/${capture.child.pid}/status`, 'utf8')
  const [, kib = '0'] = /^VmRSS:\s+(\d+) kB$/m.exec(resident) ?? []
  const reply = await place.ask('/readyz')
  await reply.body?.cancel()
  return { atMs: performance.now(), status, rssBytes: Number(kib) * 1024, ready: reply.ok }
}

/** Rows come all the time, nothing is lost, it is ready, and it says what it waits for. */
function assertFeedFlowed(looks: readonly Look[]): void {
  const rowsOf = ({ status }: Look) => status.streams['depth']?.rows ?? 0
  let movedAtMs = looks[0]?.atMs ?? 0
  for (const [i, now] of looks.entries()) {
    const before = looks[i - 1] ?? now
    if (rowsOf(now) > rowsOf(before)) movedAtMs = now.atMs
    assert.ok(now.atMs - movedAtMs < STALL_MS_MAX, `no row for ${(now.atMs - movedAtMs).toFixed(0)} ms`)
    assert.ok(now.ready, '/readyz does not speak of storage')
    assert.equal(now.status.state, 'live')
    assert.equal(now.status.gaps, looks[0]?.status.gaps)
  }
  const last = looks.at(-1)?.status
  assert.equal(last?.ship.state, 'waiting')
  assert.match(last?.ship.reason ?? '', /^(Timeout|ConnectionFailed): /)
  assert.ok((last?.spool.windowsWaiting ?? 0) > OUTAGE_SECONDS / ROTATION_SECONDS / 2, 'a backlog grew')
}

/** From the middle third of the outage to the last one; the first third may still warm up. Bytes. */
function growthOf(looks: readonly Look[]): number {
  const third = Math.floor(looks.length / 3)
  const median = (some: readonly Look[]) =>
    some.map(({ rssBytes }) => rssBytes).sort((a, b) => a - b)[some.length >> 1] ?? 0
  return median(looks.slice(-third)) - median(looks.slice(third, 2 * third))
}

/** How much waited, and how much memory was taken, at the beginning of each third and at the end. */
function described(looks: readonly Look[]): string {
  const third = Math.floor(looks.length / 3)
  const chosen = [0, third, 2 * third, looks.length - 1].flatMap((at) => looks[at] ?? [])
  const told = chosen.map(({ status, rssBytes }) => {
    const { windowsWaiting, unshippedBytes, bytes } = status.spool
    const mib = (count: number) => (count / MIB).toFixed(1)
    return `${windowsWaiting} windows, ${mib(unshippedBytes)} of ${mib(bytes)} MiB unshipped, ${mib(rssBytes)} resident`
  })
  return `${looks.length} looks: ${told.join('; ')}; grown by ${(growthOf(looks) / MIB).toFixed(1)} MiB`
}

/** Python holds the rows against the recording, its checkpoints and the exchange's own best prices. */
async function checkRows(root: string, name: string): Promise<unknown> {
  const golden = goldenFiles().find(({ recording, symbol }) => recording.includes(name) && symbol === SYMBOL)
  const file = join(recordingsDir(), 'golden', golden?.file ?? assert.fail('no golden file'))
  return await runReader('recording_check.py', [root, SYMBOL, recordingPath(name), file, String(LEVELS), ''])
}
