import { ANNOTATIONS } from '../../api/labels.ts'
import type { CaptureStatus } from '../../api/resource.ts'
import type { Settings } from '../settings.ts'
import { suspectOf } from './breaker.ts'
import { conditionEvents, crowdEvents, foreignEvents, haltEvents, lossEvents } from './events.ts'
import { factsOf, findingsOf, findingsWithoutSpec, type Gathered } from './findings.ts'
import { conflictsOf, crowdOf, isMember, type Member, memberOf } from './fleet.ts'
import { withOwnWrites } from './memory.ts'
import type { EventIntent, Facts, Observed, Plan } from './observed.ts'
import { adopt, ownedBy } from './ownership.ts'
import { budgetOf, grant } from './pacing.ts'
import { type PodView, viewPod } from './pods.ts'
import { finish, retire } from './retire.ts'
import { statusOf } from './status.ts'
import { recordOf, type SymbolPods, succeed, symbolPods, timedOut } from './succession.ts'
import { canonicalJson, templateHash } from './template.ts'
import { secondsMs } from './time.ts'
import { annotate, Draft, type World } from './world.ts'

/**
 * What is to be done for one L2Capture, and what is to be said of it, from what is seen now. Pure. Nothing is
 * decided from the status that was written before, so that wiping it changes nothing; nor from what pods answer when
 * they are asked.
 * @param nowMs wall clock, milliseconds since the Unix epoch
 */
export function plan(observed: Observed, settings: Settings, nowMs: number): Plan {
  const { capture } = observed
  const read = memberOf(capture)
  if (!isMember(read)) return planWithoutSpec(observed, read.message, nowMs)
  // its pods are collected with it, and drain
  if (read.deleting) return planNothing(capture.status ?? {}, read.spec.exchange)
  return planFor(read, observed, settings, nowMs)
}

function planFor(capture: Member, observed: Observed, settings: Settings, nowMs: number): Plan {
  const { memory, statuses } = observed
  const before = observed.capture.status
  const pods = withOwnWrites(observed.pods, memory).map(viewPod)
  const others = observed.captures.map(memberOf).filter(isMember)
  const { exchange } = capture.spec
  const world: World = {
    capture,
    generation: observed.capture.metadata.generation ?? 0,
    settings,
    nowMs,
    pods,
    endedSeen: memory.endedSeen,
    suspect: suspectOf(
      pods.filter((pod) => pod.exchange === exchange),
      settings,
      nowMs,
    ),
    crowd: crowdOf(exchange, [capture, ...others], settings),
  }
  const draft = new Draft()
  const { own, orphans, foreign } = ownedBy(capture, pods)
  adopt(world, draft, orphans)
  const conflicts = capture.spec.suspend ? new Map<string, Member>() : conflictsOf(capture, others)
  const symbols = wantedSymbols(world, [...own, ...orphans], conflicts)
  const adopting = new Set(orphans.map(({ symbol }) => symbol))
  decide(world, draft, symbols, own, adopting, conflicts)
  keepShare(world, draft, own)
  grantWishes(world, draft, symbols, memory.starts)
  if (world.suspect !== undefined) draft.wakeAt(nowMs + secondsMs(settings.times.breakerWindowSeconds) / 10)

  const gathered: Gathered = { symbols, conflicts, own, statuses, refused: memory.refused }
  const findings = findingsOf(world, draft, gathered)
  const status = statusOf(findings, before, world.generation, settings.limits.attentionMax, nowMs)
  return {
    actions: draft.actions.toSorted((a, b) => Number(b.kind === 'create') - Number(a.kind === 'create')),
    status,
    statusChanged: canonicalJson(status) !== canonicalJson(before ?? {}),
    events: [
      ...haltEvents(own, before, memory),
      ...lossEvents(own, memory, nowMs),
      ...foreignEvents(foreign, memory),
      ...crowdEvents(capture, world.crowd, settings.limits.symbolsPerAddress, memory),
      ...conditionEvents(capture.uid, before, status),
    ],
    requeueAfterMs: draft.wakeAfterMs(nowMs),
    facts: factsOf(world, gathered, findings.reports, foreign.length),
  }
}

function wantedSymbols(
  { capture, settings }: World,
  own: readonly PodView[],
  conflicts: ReadonlyMap<string, Member>,
): SymbolPods[] {
  const { spec } = capture
  if (spec.suspend) return []
  const bySymbol = Map.groupBy(own, ({ symbol }) => symbol)
  return spec.symbols
    .filter((symbol) => !conflicts.has(symbol))
    .map((symbol) => symbolPods(symbol, templateHash(spec, settings, symbol), bySymbol.get(symbol) ?? []))
}

/** Each symbol for itself, but for a roll-out: where one successor failed no others are tried. */
function decide(
  world: World,
  draft: Draft,
  symbols: readonly SymbolPods[],
  own: readonly PodView[],
  adopting: ReadonlySet<string>,
  conflicts: ReadonlyMap<string, Member>,
): void {
  const held = symbols.some((symbol) => holdsRollout(symbol, world))
  for (const symbol of symbols) if (!adopting.has(symbol.symbol)) succeed(world, draft, symbol, held)
  const wanted = new Set(symbols.map(({ symbol }) => symbol))
  for (const pod of own) {
    if (wanted.has(pod.symbol)) continue
    const owner = conflicts.get(pod.symbol)
    if (owner !== undefined && pod.live) handOver(world, draft, pod, owner)
    else {
      const kind = owner === undefined ? 'unwanted' : 'conflict'
      retire(world, draft, pod, { kind, why: whyUnwanted(world) })
    }
    finish(world, draft, pod, true)
  }
}

/** The older capture that the symbol belongs to has to have a live pod before ours goes. */
function handOver(world: World, draft: Draft, pod: PodView, owner: Member): void {
  const by = world.pods.find(
    (other) => other.owner === owner.uid && other.symbol === pod.symbol && other.live && other.active,
  )
  if (by !== undefined) retire(world, draft, pod, { kind: 'succeeded', by })
  // nobody tells us when another capture's pod gets live
  else draft.wakeAt(world.nowMs + secondsMs(world.settings.times.statusPollSeconds))
}

function whyUnwanted({ capture }: World): string {
  return capture.spec.suspend ? 'capturing is suspended' : 'its symbol is not to be captured here'
}

/** The new template has failed on this symbol while an old pod goes on. */
function holdsRollout(symbol: SymbolPods, world: World): boolean {
  const outdated = symbol.pods.some(({ active, hash }) => active && hash !== symbol.hash)
  if (!outdated) return false
  return timedOut(symbol, world) !== undefined || recordOf(symbol, world.generation) !== undefined
}

/** The share changes without a new pod: the process reads it while it runs. */
function keepShare(world: World, draft: Draft, own: readonly PodView[]): void {
  const share = String(world.crowd.share)
  const touched = new Set(draft.actions.map((action) => (action.kind === 'create' ? '' : action.pod.uid)))
  for (const pod of own) {
    if (!pod.active || pod.share === share || touched.has(pod.ref.uid)) continue
    const why = `${world.crowd.symbolsPerAddress} symbols share an address now`
    annotate(draft, pod, { set: { [ANNOTATIONS.share]: share }, why })
  }
}

function grantWishes(
  world: World,
  draft: Draft,
  symbols: readonly SymbolPods[],
  starts: Observed['memory']['starts'],
): void {
  const budget = budgetOf(world.capture.spec.exchange, world.pods, starts, world.settings, world.nowMs)
  grant(world, draft, symbols, budget)
}

/** What runs goes on: under a spec that cannot be used nobody knows what else is wanted. */
function planWithoutSpec({ capture }: Observed, fault: string, nowMs: number): Plan {
  const { metadata, status: before } = capture
  const generation = metadata.generation ?? 0
  const findings = findingsWithoutSpec(fault, symbolsIn(capture.spec))
  const status = statusOf(findings, before, generation, 0, nowMs)
  return {
    ...planNothing(status, ''),
    statusChanged: canonicalJson(status) !== canonicalJson(before ?? {}),
    events: conditionEvents(metadata.uid ?? '', before, status),
  }
}

/** As many symbols as an unusable spec names. */
function symbolsIn(spec: unknown): number {
  if (typeof spec !== 'object' || spec === null || !('symbols' in spec)) return 0
  return Array.isArray(spec.symbols) ? spec.symbols.length : 0
}

function planNothing(status: CaptureStatus, exchange: string): Plan {
  const facts: Facts = {
    exchange,
    symbols: {},
    halts: [],
    suspect: undefined,
    share: 1,
    symbolsPerAddress: 0,
    foreignPods: 0,
    handovers: [],
  }
  const events: EventIntent[] = []
  return { actions: [], status, statusChanged: false, events, requeueAfterMs: undefined, facts }
}
