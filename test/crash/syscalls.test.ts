import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Random } from '../sim/market/mod.ts'
import { live, liveTwice } from './lives.ts'
import { type Case, crashPoints, crashSeed, World } from './world.ts'

/** Slow, so that the simulator still knows its books when all points were tried. */
const RATE = 500
/** The system calls that change files or names, under every name that a C library gives them. */
const CALLS =
  'write,writev,pwrite64,pwritev,fsync,fdatasync,ftruncate,rename,renameat,renameat2,link,unlink,unlinkat,rmdir,mkdir,mkdirat'
const STRACE = ['-f', '-qq', '-e', `trace=${CALLS}`]
const POINTS_MAX = crashPoints(8)
/** Segments whose inputs make the one window: with its join, and some hundred rows. */
const SEGMENTS = 3

/** The process dies as it enters the nth call of this name on a thread: that call has not happened. */
interface Point {
  readonly call: string
  readonly nth: number
}

describe('killed at each system call that changes the spool or the bucket', () => {
  const seed = crashSeed()
  const cases: Case[] = []
  const skip = straceProblem()
  let world: World
  let segments: string[]
  before(async () => {
    world = await World.start(seed, RATE)
    const template = world.place('template')
    await world.makeSpool(template)
    const names = (await template.names('journal')).slice(0, SEGMENTS)
    segments = names.map((name) => join(template.spool, 'journal', name))
  })
  after(() => world.stop())

  const options = skip === '' ? {} : { skip: `no system call can be traced here: ${skip}` }
  // (strace's seccomp filter is not used: with it no signal is injected)
  it('one life of a window, from its journal to its drop', options, async (t) => {
    const points = await allPoints()
    const chosen = sample(points, new Random(seed, 'points'))
    let killed = 0
    for (const { call, nth } of chosen) {
      const place = world.place(`${call}-${nth}`)
      const tracer = ['strace', ...STRACE, '-o', '/dev/null', '-e', `inject=${call}:signal=KILL:when=${nth}`]
      const twice = await liveTwice(place, { segments, rotationSeconds: 3600, tracer })
      if (twice.killed) killed++
      cases.push({ place, journalled: twice.journalled })
    }
    t.diagnostic(`CRASH_SEED=${seed}`)
    t.diagnostic(
      `${points.length} points, ${chosen.length} tried (CRASH_POINTS), ${killed} killed the process`,
    )
    // a thread may write to another one's wake-up once more or less, which shifts the last writes beyond the end
    assert.ok(killed >= chosen.length * 0.8, `${killed} of ${chosen.length}`)
    const summaries = await world.judge(cases)
    assert.equal(summaries.length, chosen.length)
    for (const { windows } of summaries) assert.ok(windows <= 1, 'committed exactly once, or never begun')
    assert.ok(summaries.some(({ compared }) => compared > 10))
  })

  /** Every call of an undisturbed life that touches the place, in the order of their happening. */
  async function allPoints(): Promise<Point[]> {
    const place = world.place('traced')
    const trace = join(world.dir, 'trace')
    const tracer = ['strace', ...STRACE, '-o', trace, '-y', '-e', 'signal=none']
    assert.equal(await live(place, { segments, rotationSeconds: 3600, tracer }), false)
    const counts = new Map<string, number>()
    const points = new Map<string, Point>()
    for (const line of (await readFile(trace, 'utf8')).split('\n')) {
      const [, thread = '', call = ''] = /^(\d+) +(\w+)\(/.exec(line) ?? []
      const counted = `${thread} ${call}`
      const nth = (counts.get(counted) ?? 0) + 1
      counts.set(counted, nth)
      if (line.includes(place.dir)) points.set(`${call} ${nth}`, { call, nth })
    }
    assert.ok(points.size > 50, `${points.size} points: is the trace read rightly?`)
    return [...points.values()]
  }
})

/** Why strace cannot be used here; empty where it can. */
function straceProblem(): string {
  const { error, status, stderr } = spawnSync('strace', [...STRACE, '-o', '/dev/null', 'true'])
  if (error !== undefined) return error.message
  return status === 0 ? '' : String(stderr).trim()
}

/** Evenly spread points, another set for each seed; all where there are few enough. */
function sample(points: readonly Point[], random: Random): Point[] {
  if (points.length <= POINTS_MAX) return [...points]
  const step = points.length / POINTS_MAX
  const offset = random.next() * step
  return Array.from({ length: POINTS_MAX }, (_, i) => points[Math.floor(offset + i * step)])
}
