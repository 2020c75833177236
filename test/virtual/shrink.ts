import type { Plan } from './plan.ts'
import { runPlan } from './run-seed.ts'
import type { SeedResult } from './tally.ts'

/** Plans that are tried on the way to the smallest. */
const TRIES_MAX = 80
const TROUBLE_MS_MIN = 5_000

export interface Shrunk {
  readonly plan: Plan
  readonly result: SeedResult
  readonly tries: number
}

/** The smallest plan that still breaks the rule that this one broke first. */
export async function shrink(plan: Plan, result: SeedResult): Promise<Shrunk> {
  const rule = result.violations.at(0)?.rule
  let smallest: Shrunk = { plan, result, tries: 0 }
  let tries = 0
  for (let smaller = true; smaller; ) {
    smaller = false
    for (const candidate of simpler(smallest.plan)) {
      if (++tries > TRIES_MAX) return { ...smallest, tries }
      const tried = await runPlan(candidate)
      if (!tried.violations.some((violation) => violation.rule === rule)) continue
      smallest = { plan: candidate, result: tried, tries }
      smaller = true
      break
    }
  }
  return { ...smallest, tries }
}

/** Plans that are simpler by one step each, the largest steps first. */
function* simpler(plan: Plan): Generator<Plan> {
  for (let i = 0; i < plan.faults.length; i++) yield { ...plan, faults: plan.faults.toSpliced(i, 1) }
  const troubleMs = Math.floor(plan.troubleMs / 2)
  if (troubleMs >= TROUBLE_MS_MIN && plan.faults.every(({ atMs }) => atMs < troubleMs))
    yield { ...plan, troubleMs }
  for (const [i, fault] of plan.faults.entries()) {
    if (fault.durationMs < 2000) continue
    yield { ...plan, faults: plan.faults.with(i, { ...fault, durationMs: Math.floor(fault.durationMs / 2) }) }
  }
  const { quiet, bursts, levels = 0 } = plan.market
  if (quiet !== undefined) yield { ...plan, market: { ...plan.market, quiet: undefined } }
  if (bursts !== undefined) yield { ...plan, market: { ...plan.market, bursts: undefined } }
  if (levels > 10) yield { ...plan, market: { ...plan.market, levels: Math.floor(levels / 2) } }
  const { pods } = plan
  for (const [i, handing] of (pods?.handings ?? []).entries()) {
    if (pods === undefined) break
    if (pods.handings.length > 1)
      yield { ...plan, pods: { ...pods, handings: pods.handings.toSpliced(i, 1) } }
    if (handing.kills.length === 0) continue
    const calm = { ...handing, kills: handing.kills.slice(1) }
    yield { ...plan, pods: { ...pods, handings: pods.handings.with(i, calm) } }
  }
  if (pods !== undefined && pods.outages.length > 0) yield { ...plan, pods: { ...pods, outages: [] } }
  if (plan.share > 1) yield { ...plan, share: 1 }
  if (plan.lifetimeMs < 3_600_000) yield { ...plan, takeOverMs: 82_800_000, lifetimeMs: 86_400_000 }
}

/** What to tell of a failing seed, and of the smallest plan that fails alike. */
export function report(result: SeedResult, { plan, result: smallest, tries }: Shrunk): string {
  const [first] = smallest.violations
  return [
    `seed ${result.seed} fails: ${result.violations.map(({ rule }) => rule).join(', ')}`,
    `  first: ${result.violations.at(0)?.evidence}`,
    `  smallest plan after ${tries} tries: ${JSON.stringify(plan)}`,
    `  there: ${first?.rule}: ${first?.evidence}`,
    `  replay: npm run seed -- ${result.seed} --verbose, or with --plan and the plan above`,
  ].join('\n')
}
