import { mkdtempSync, rmSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { recordBucket, recordPublished, verifyRecorded } from './bucket.ts'
import type { Violation } from './chain.ts'
import { judge } from './oracle.ts'
import { type Plan, planOf } from './plan.ts'
import { livePods } from './pods.ts'
import type { PodsPlan } from './pods-plan.ts'
import { givenUp, judgePublished } from './published.ts'
import { resultOf, type SeedResult, together } from './tally.ts'
import { live } from './world.ts'

/** Memory, where the machine has a file system in it: segments are written only to be read back. */
const SHARED_MEMORY = '/dev/shm'

/** Violations that are told of one seed. */
const VIOLATIONS_MAX = 20
/** One seed in so many is also recorded for real, and verified as a stranger would. */
const PARQUET_EVERY = 50
const PODS_PARQUET_EVERY = 10
/** The exchange's own. */
const LIFETIME_MS = 24 * 3_600_000

let directory: string | undefined

function scratch(): string {
  if (directory === undefined) {
    process.once('exit', () => {
      if (directory !== undefined) rmSync(directory, { recursive: true, force: true })
    })
    try {
      directory = mkdtempSync(join(SHARED_MEMORY, 'l2cap-seeds-'))
    } catch {
      // no such file system here: the ordinary temporary directory does, only slower
      directory = mkdtempSync(join(tmpdir(), 'l2cap-seeds-'))
    }
  }
  return directory
}

/** Lives through a plan and judges it. What throws is a violation like any other. */
export async function runPlan(plan: Plan): Promise<SeedResult> {
  try {
    if (plan.pods !== undefined) return await runPods(plan, plan.pods)
    const outcome = await live(plan)
    const dir = join(scratch(), String(plan.seed))
    const verdict = await judge(outcome, dir)
    const violations = [...verdict.violations]
    // a session that was given another lifetime of connections is not replayed alike by the recorder
    if (plan.seed % PARQUET_EVERY === 0 && plan.lifetimeMs === LIFETIME_MS) {
      await recordBucket(outcome.capture, dir, (violation) => violations.push(violation))
      await verifyRecorded(dir, (violation) => violations.push(violation))
      await rm(dir, { recursive: true, force: true })
    }
    return resultOf(outcome, { ...verdict, violations })
  } catch (error) {
    const evidence = error instanceof Error ? (error.stack ?? error.message) : String(error)
    const nothing = { fired: [], halts: [], ended: [], counts: {}, rows: 0, liedRows: 0, virtualMs: 0 }
    return { seed: plan.seed, violations: [{ rule: 'throws', evidence }], ...nothing }
  }
}

/** Each journal is judged as that of one capture is, and then what was published of all of them. */
async function runPods(plan: Plan, pods: PodsPlan): Promise<SeedResult> {
  const outcome = await livePods(plan, pods, scratch())
  const dir = join(scratch(), String(plan.seed))
  const violations: Violation[] = []
  const results: SeedResult[] = []
  for (const [i, journal] of outcome.journals.entries()) {
    const verdict = await judge(journal, join(dir, String(i)))
    results.push(resultOf(journal, verdict))
  }
  const tell = (violation: Violation) => {
    if (violations.length < VIOLATIONS_MAX) violations.push(violation)
  }
  await judgePublished(outcome, join(dir, 'published'), tell)
  if (plan.seed % PODS_PARQUET_EVERY === 0 && plan.lifetimeMs === LIFETIME_MS) {
    const root = join(dir, 'data')
    await recordPublished(outcome.publications, root, tell)
    // what a pod that was given up doubles after others followed in order, nobody tells
    const hasReturned = givenUp(outcome).size > 0
    await verifyRecorded(root, (violation) => {
      if (!hasReturned || !violation.evidence.includes('"overlap"')) tell(violation)
    })
  }
  await rm(dir, { recursive: true, force: true })
  return together(plan.seed, results, violations, outcome.handed)
}

export function runSeed(seed: number): Promise<SeedResult> {
  return runPlan(planOf(seed))
}
