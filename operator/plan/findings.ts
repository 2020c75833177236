import type { Settings } from '../settings.ts'
import type { Findings, SymbolStop, Uploads } from './conditions.ts'
import { haltKey } from './events.ts'
import type { Member } from './fleet.ts'
import { refusalKey } from './memory.ts'
import type { Facts, Polled } from './observed.ts'
import { isNewer, type PodView } from './pods.ts'
import { recordOf, type SymbolPods, timedOut } from './succession.ts'
import { reportOn, type SymbolReport } from './symbols.ts'
import { secondsMs } from './time.ts'
import type { Draft, World } from './world.ts'

/** What is known of a capture at the end of a plan: for its status, and for metrics. */

/** A pod that has not answered for so many polls is not counted among those that ship, nor among those that do not. */
const POLLS_REMEMBERED = 4

export interface Gathered {
  readonly symbols: readonly SymbolPods[]
  readonly conflicts: ReadonlyMap<string, Member>
  readonly own: readonly PodView[]
  readonly statuses: ReadonlyMap<string, Polled>
  readonly refused: ReadonlyMap<string, string>
}

export function findingsOf(world: World, draft: Draft, gathered: Gathered): Findings {
  const { capture, generation } = world
  const { symbols, conflicts, own, statuses } = gathered
  const wanted = new Set(symbols.map(({ symbol }) => symbol))
  const replaced = new Set(draft.wishes.filter(({ cause }) => cause !== 'new').map(({ symbol }) => symbol))
  const refusals = refusalsOf(world, gathered)
  const outdated = symbols.filter((symbol) => isOutdated(symbol, world))
  const busy = symbols.filter(
    ({ symbol, pods }) => replaced.has(symbol) || pods.filter(({ active }) => active).length > 1,
  )
  return {
    specFault: undefined,
    suspended: capture.spec.suspend,
    desired: capture.spec.symbols.length,
    reports: [
      ...symbols.map((symbol) => reportOn(symbol, generation, statuses, refusals.get(symbol.symbol))),
      ...[...conflicts].map(([symbol, owner]) => conflictReport(symbol, owner, capture)),
    ],
    draining: own.filter(({ symbol, ended }) => !wanted.has(symbol) && !ended).length,
    rollingOut: outdated.length,
    replacing: busy.length,
    timedOut: symbols.filter((symbol) => timedOut(symbol, world) !== undefined).map(({ symbol }) => symbol),
    refused: [...refusals].map(([symbol, message]) => ({ symbol, message })),
    stopped: symbols.flatMap((symbol) => stopOf(symbol, generation)),
    suspect: world.suspect,
    uploads: uploadsOf(own, statuses, world.settings, world.nowMs),
  }
}

/** What can be said under a spec that cannot be used: what runs goes on. */
export function findingsWithoutSpec(fault: string, desired: number): Findings {
  return {
    specFault: fault,
    suspended: false,
    desired,
    reports: [],
    draining: 0,
    rollingOut: 0,
    replacing: 0,
    timedOut: [],
    refused: [],
    stopped: [],
    suspect: undefined,
    uploads: { asked: 0, failing: [] },
  }
}

/** What the API server said last of the pods that this capture wanted, by symbol. */
function refusalsOf({ capture }: World, { symbols, refused }: Gathered): ReadonlyMap<string, string> {
  return new Map(
    symbols.flatMap(({ symbol }) => {
      const message = refused.get(refusalKey(capture.namespace, capture.name, symbol))
      return message === undefined ? [] : [[symbol, message]]
    }),
  )
}

/** It has a pod with an old template and none with the new one, and that is to change. */
function isOutdated(symbol: SymbolPods, world: World): boolean {
  const actives = symbol.pods.filter(({ active }) => active)
  return (
    actives.some(({ hash }) => hash !== symbol.hash) &&
    timedOut(symbol, world) === undefined &&
    recordOf(symbol, world.generation) === undefined
  )
}

function stopOf(symbol: SymbolPods, generation: number): SymbolStop[] {
  const stopped = recordOf(symbol, generation)?.stopped
  return stopped === undefined
    ? []
    : [{ symbol: symbol.symbol, reason: stopped.reason, message: stopped.message }]
}

function conflictReport(symbol: string, owner: Member, capture: Member): SymbolReport {
  return {
    symbol,
    state: 'Conflict',
    reason: 'SymbolConflict',
    message: `${owner.namespace}/${owner.name} is older and captures it into the same place`,
    sinceMs: Math.max(owner.createdMs, capture.createdMs),
    restarts: 0,
    pod: '',
  }
}

function uploadsOf(
  own: readonly PodView[],
  statuses: ReadonlyMap<string, Polled>,
  { times }: Settings,
  nowMs: number,
): Uploads {
  const recentMs = nowMs - POLLS_REMEMBERED * secondsMs(times.statusPollSeconds)
  const told = own.flatMap(({ ref, symbol, ended }) => {
    const polled = statuses.get(ref.uid)
    if (ended || polled === undefined || !('status' in polled) || polled.at < recentMs) return []
    return [{ symbol, ship: polled.status.ship }]
  })
  const failing = told
    .filter(({ ship }) => ship.state === 'waiting')
    .map(({ symbol, ship }) => ({ symbol, reason: ship.reason ?? 'no reason given' }))
    .sort((a, b) => (a.symbol < b.symbol ? -1 : 1))
  return { asked: told.length, failing }
}

export function factsOf(
  world: World,
  { own }: Gathered,
  reports: readonly SymbolReport[],
  foreignPods: number,
): Facts {
  const { exchange } = world.capture.spec
  const symbols: Record<string, number> = {}
  for (const { state } of reports) symbols[state] = (symbols[state] ?? 0) + 1
  return {
    exchange,
    symbols,
    halts: own.flatMap((pod) => {
      const reason = pod.end?.halt
      // of a stopped symbol it was counted when it was stopped
      return reason === undefined || pod.stopped !== undefined
        ? []
        : [{ key: haltKey(pod), exchange, reason, symbol: pod.symbol }]
    }),
    suspect: world.suspect?.reason,
    share: world.crowd.share,
    symbolsPerAddress: world.crowd.symbolsPerAddress,
    foreignPods,
    handovers: handovers(own),
  }
}

/** Successors that are live while the pod before them is still seen. */
function handovers(own: readonly PodView[]): Facts['handovers'] {
  return own.flatMap((pod) => {
    const before = own.some((other) => other.symbol === pod.symbol && other !== pod && isNewer(pod, other))
    if (!before || pod.liveSinceMs === undefined || !pod.active) return []
    return [{ key: pod.ref.uid, seconds: Math.max(0, pod.liveSinceMs - pod.createdMs) / 1000 }]
  })
}
