/**
 * One life that is cut short at a system call: by a kill, or by a kill and the power of the disk going with it. What
 * it relied on by then must be there afterwards.
 */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, rm, truncate } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Journalled, Summary } from '../support/judge.ts'
import type { Ack } from './acks.ts'
import { Disk } from './disk.ts'
import { journalled } from './journalled.ts'
import { type Life, live, recoverAll } from './lives.ts'
import { type Call, type Point, Tracer } from './trace.ts'
import type { Place, World } from './world.ts'

/** Lives at a time: the machines this is built for have two cores. */
export const LANES = 2
/** Where a write follows a write it can only be counted on in this many lives. */
const TRIES_MAX = 5

/** How lives are cut short. */
export interface Cutting {
  readonly life: Life
  /** What the place holds before the life; nothing where it is left out. */
  readonly from?: Place | undefined
  /** The disk below spool and bucket loses its power at the same moment. */
  readonly power: boolean
  readonly env?: Readonly<Record<string, string>> | undefined
}

/** What a life left that was cut short. */
export interface Cut {
  readonly place: Place
  /** The call that it did not do any more; empty where nobody can say. */
  readonly label: string
  readonly killed: boolean
  /** Ids that must be published. */
  readonly journalled: Journalled
  /** Whether it relied on anything by then. */
  readonly relied: boolean
  /** Manifests that it had proven and that are not in the bucket now. */
  readonly missing: readonly string[]
}

/** The calls of a life that nobody disturbs, in the order of their happening. */
export async function callsOf(world: World, name: string, { life, from, env }: Cutting): Promise<Call[]> {
  const place = world.place(name)
  if (from !== undefined) await place.copy(from)
  const tracer = new Tracer(join(world.dir, `${name}.trace`))
  assert.equal((await live([place], life, { attach: tracer.attach, env })).killed, false)
  return await tracer.calls(place.dir)
}

/**
 * Cuts lives short at points, two at a time, each point again until it was hit. `calls` are those of a whole life, of
 * which the points are some.
 */
export async function cutAll(
  world: World,
  name: string,
  calls: readonly Call[],
  points: readonly Call[],
  how: Cutting,
): Promise<Cut[]> {
  const waiting = points.map((target, i) => ({ target, name: `${name}-${i}` }))
  const cuts: Cut[] = []
  const hit = new Set<string>()
  await inLanes(waiting, async ({ target, name }) => {
    let aim = aimAt(target, calls)
    for (let tries = 0; tries < TRIES_MAX && !hit.has(target.label); tries++) {
      const { cut, seen } = await cutOnce(world, `${name}-${tries}`, calls, aim, how)
      cuts.push(cut)
      hit.add(cut.label)
      aim = { ...aim, nth: nextGuess(aim, calls, seen) }
    }
  })
  return cuts
}

/** A call to aim at, as it was in the whole life. */
type Aim = Call & Point

/**
 * Which call to count to. Threads wake each other by writes, now more of them, now fewer, so that those cannot be
 * counted on: where one follows another call, that one is counted, and the life is cut short after it.
 */
function aimAt(target: Call, calls: readonly Call[]): Aim {
  const before = calls[calls.indexOf(target) - 1]
  const countable = before !== undefined && before.call !== 'write' && before.inMain === target.inMain
  return target.call === 'write' && countable ? { ...before, after: true } : { ...target, after: false }
}

/** Which number a call probably has, after a life in which it had another one than in the whole life. */
function nextGuess(aim: Aim, whole: readonly Call[], seen: readonly Call[]): number {
  if (aim.call !== 'write') return aim.nth
  const same = seen.find(({ label }) => label === aim.label)
  if (same !== undefined) return same.nth
  const last = seen.findLast(({ call, done }) => call === aim.call && done)
  const known = whole.find(({ label }) => label === last?.label)
  if (last === undefined || known === undefined) return aim.nth + 1
  return last.nth + (whole.find(({ label }) => label === aim.label)?.nth ?? aim.nth) - known.nth
}

/** What a life entered and did not do, or would have done next; empty where nobody can say. */
function cutLabel(whole: readonly Call[], seen: readonly Call[]): string {
  const last = seen.at(-1)
  if (last?.done === false) return last.label
  const next = whole[whole.findIndex(({ label }) => label === last?.label) + 1]
  return next === undefined || seen.some(({ label }) => label === next.label) ? '' : next.label
}

/** Works off a list, two at a time. */
async function inLanes<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items]
  const lane = async (): Promise<void> => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item)
  }
  await Promise.all(Array.from({ length: LANES }, lane))
}

async function cutOnce(
  world: World,
  name: string,
  calls: readonly Call[],
  point: Point,
  { life, from, power, env }: Cutting,
): Promise<{ readonly cut: Cut; readonly seen: readonly Call[] }> {
  const place = world.place(name)
  const disk = power ? await Disk.make(join(world.dir, `${name}.disk`), from) : undefined
  try {
    if (disk === undefined && from !== undefined) await place.copy(from)
    const at = disk?.place ?? place
    const tracer = new Tracer(join(world.dir, `${name}.trace`), point)
    const { killed, acks } = await live([at], life, { attach: tracer.attach, env })
    const seen = await tracer.calls(at.dir)
    const label = killed ? cutLabel(calls, seen) : ''
    const ids = await reliedOn(at, join(world.dir, `${name}.relied`), acks, { from, power })
    if (disk !== undefined) {
      disk.losePower()
      await disk.copyTo(place)
    }
    const missing = acks
      .flatMap((ack) => ('committed' in ack ? [ack.committed] : []))
      .filter((key) => !existsSync(join(place.bucket, key)))
    return { cut: { place, label, killed, journalled: ids, relied: acks.length > 0, missing }, seen }
  } finally {
    disk?.remove()
  }
}

/**
 * Ids that must be published after a life: of a recovery those that it found; else those in the segments, as far as
 * they were written, or synced where the power goes. A segment that is gone was committed.
 */
async function reliedOn(
  place: Place,
  scratch: string,
  acks: readonly Ack[],
  { from, power }: Pick<Cutting, 'from' | 'power'>,
): Promise<Journalled> {
  if (from !== undefined) return await journalled(from.spool)
  const synced = new Map(acks.flatMap((ack) => ('synced' in ack ? [[ack.segment, ack.synced]] : [])))
  const committed = new Set(
    acks.flatMap((ack) => ('committed' in ack ? [basename(ack.committed, '.json')] : [])),
  )
  await mkdir(join(scratch, 'journal'), { recursive: true })
  for (const [segment, bytes] of synced) {
    const path = join(place.spool, 'journal', segment)
    if (existsSync(path)) {
      const copy = join(scratch, 'journal', segment)
      await copyFile(path, copy)
      await truncate(copy, bytes)
    } else {
      assert.ok(committed.has(basename(segment, '.journal')), `${segment} went before it was committed`)
    }
  }
  const ids = await journalled(power ? scratch : place.spool)
  await rm(scratch, { recursive: true })
  return ids
}

/** Places are recovered so many in one process. */
const RECOVERED_AT_ONCE = 16

/**
 * Recovers the places of lives that were cut short and has the oracle judge them: nothing that was relied on is lost,
 * nothing is there twice, no row is wrong. Throws where it finds fault. Returns the oracle's words, one a cut.
 */
export async function settle(world: World, cuts: readonly Cut[]): Promise<Summary[]> {
  for (const { place, label, missing } of cuts) {
    assert.deepEqual(missing, [], `${place.dir}, cut at "${label}": committed, and not there afterwards`)
  }
  const parts: Cut[][] = []
  for (let i = 0; i < cuts.length; i += RECOVERED_AT_ONCE) parts.push(cuts.slice(i, i + RECOVERED_AT_ONCE))
  const judged: Summary[][] = parts.map(() => [])
  await inLanes([...parts.entries()], async ([i, part]) => {
    await recoverAll(part.map(({ place }) => place))
    judged[i] = await world.judge(part)
    for (const { place } of part) await rm(place.dir, { recursive: true })
  })
  return judged.flat()
}
