import { mkdtempSync, rmSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { recordBucket, verifyRecorded } from './bucket.ts'
import { judge } from './oracle.ts'
import { type Plan, planOf } from './plan.ts'
import { resultOf, type SeedResult } from './tally.ts'
import { live } from './world.ts'

/** Memory, where the machine has a file system in it: segments are written only to be read back. */
const SHARED_MEMORY = '/dev/shm'

/** One seed in so many is also recorded for real, and verified as a stranger would. */
const PARQUET_EVERY = 50
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

export function runSeed(seed: number): Promise<SeedResult> {
  return runPlan(planOf(seed))
}
