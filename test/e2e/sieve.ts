/**
 * `node test/e2e/sieve.ts [--at N] [--every N]`: a capture's life, disturbed after each single write of the operator:
 * it is killed there and started again; it is started on a server that is behind; it is told nothing of what happens
 * next. A life that came to another end, or created or deleted other pods, is lived once more, alone, as tests are that
 * fail: what is right then is named as unsteady. Ends with exit code 1 where one was wrong again.
 *   --at N      so many lives at once (default 6)
 *   --every N   after each N-th write alone (default 1)
 */
import { parseArgs } from 'node:util'
import type { TestContext } from '../cluster/mod.ts'
import { type Disturbance, disturbed, nameOf, type Reference, reference } from './sieve-run.ts'

const EVENTS_HIDDEN = 4
/** Hidden events show after a list, whichever write they follow: fewer places say as much. */
const HIDDEN_EVERY = 3
/** More than this many at once is no bad luck of a busy machine: none is lived again. */
const UNSTEADY_MAX = 3
const EXIT_FAILED = 1

/** What a test is to the parts of a life: somebody who cleans up after it. */
class Cleaner implements TestContext {
  readonly #work: (() => Promise<void>)[] = []

  after(work: () => Promise<void>): void {
    this.#work.push(work)
  }

  async end(): Promise<void> {
    // the last first: the operator goes before its namespace
    for (const work of this.#work.toReversed()) await work()
  }
}

async function within<T>(life: (context: TestContext) => Promise<T>): Promise<T> {
  const cleaner = new Cleaner()
  try {
    return await life(cleaner)
  } finally {
    await cleaner.end()
  }
}

function disturbances(writes: number, every: number): Disturbance[] {
  const all: Disturbance[] = []
  for (let after = 1; after <= writes; after += every) {
    all.push({ kind: 'killed', after }, { kind: 'stale', after })
    if (after % (HIDDEN_EVERY * every) === 1) all.push({ kind: 'hidden', after, events: EVENTS_HIDDEN })
  }
  return all
}

interface Tally {
  readonly failed: Disturbance[]
  done: number
  notReached: number
}

async function takeTurns(
  queue: Disturbance[],
  expected: Reference,
  tally: Tally,
  all: number,
): Promise<void> {
  for (let by = queue.shift(); by !== undefined; by = queue.shift()) {
    const life = by
    try {
      const told = await within((context) => disturbed(context, expected, life))
      if (!told.disturbed) tally.notReached += 1
      say(
        `${++tally.done}/${all} ${nameOf(life)}: ${told.disturbed ? 'the same end' : 'not reached'}, ${told.seconds.toFixed(1)} s`,
      )
    } catch (error) {
      tally.failed.push(life)
      say(`${++tally.done}/${all} ${nameOf(life)}: FAILED: ${error instanceof Error ? error.message : error}`)
    }
  }
}

/** What failed, once more, one after another; returns what failed again. */
async function again({ failed, notReached }: Tally, expected: Reference): Promise<Disturbance[]> {
  if (failed.length > UNSTEADY_MAX) return failed
  const once: Tally = { failed: [], done: 0, notReached }
  await takeTurns([...failed], expected, once, failed.length)
  for (const life of failed) if (!once.failed.includes(life)) say(`UNSTEADY: ${nameOf(life)}`)
  return once.failed
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { at: { type: 'string', default: '6' }, every: { type: 'string', default: '1' } },
  })
  const startedMs = performance.now()
  const expected = await within(reference)
  const queue = disturbances(expected.writes, Number(values.every))
  const all = queue.length
  say(`the life without disturbance: ${expected.writes} writes; ${all} disturbed ones follow`)
  const tally: Tally = { failed: [], done: 0, notReached: 0 }
  const hands = Array.from({ length: Number(values.at) }, () => takeTurns(queue, expected, tally, all))
  await Promise.all(hands)
  const failed = await again(tally, expected)
  const seconds = Math.round((performance.now() - startedMs) / 1000)
  const { notReached } = tally
  say(
    `${all} lives in ${seconds} s: ${all - failed.length} came to the same end, ${notReached} of them undisturbed`,
  )
  for (const life of failed) say(`FAILED: ${nameOf(life)}`)
  return failed.length === 0 ? 0 : EXIT_FAILED
}

process.exit(await main())
