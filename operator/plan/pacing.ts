import type { Settings } from '../settings.ts'
import { destinationOf } from './fleet.ts'
import { nextAttempt, podNameBase } from './names.ts'
import type { Cause, CreateAction, Start } from './observed.ts'
import { buildPod } from './pod.ts'
import type { PodView } from './pods.ts'
import { predecessorOf } from './predecessor.ts'
import type { SymbolPods } from './succession.ts'
import { type Draft, specOf, type Wish, type World } from './world.ts'

/**
 * How many starts an exchange is asked to bear: so many a minute over all captures, counted from the pods that are
 * there and from what this operator remembers of its own.
 */

const MINUTE_MS = 60_000

/** Who goes first: a symbol that nobody captures, then one that halts, then one that only has an old template. */
const TURN: Readonly<Record<Cause, number>> = { ended: 0, new: 1, node: 2, halts: 3, spec: 4 }

export interface Budget {
  /** Starts that may be sent now. */
  readonly left: number
  /** When the next one may be, ms since the Unix epoch; undefined where some are left. */
  readonly againMs: number | undefined
}

export function budgetOf(
  exchange: string,
  pods: readonly PodView[],
  starts: readonly Start[],
  settings: Settings,
  nowMs: number,
): Budget {
  const seen = pods
    .filter((pod) => pod.exchange === exchange && pod.ref.uid !== '')
    .map(({ ref, createdMs }) => ({ name: `${ref.namespace}/${ref.name}`, atMs: createdMs }))
  const remembered = starts
    .filter((start) => start.exchange === exchange)
    .map(({ namespace, name, atMs }) => ({ name: `${namespace}/${name}`, atMs }))
  const recent = merged(
    seen.filter(({ atMs }) => atMs > nowMs - MINUTE_MS),
    remembered.filter(({ atMs }) => atMs > nowMs - MINUTE_MS),
  )
  const left = Math.max(0, settings.limits.startsPerMinute - recent.length)
  if (left > 0) return { left, againMs: undefined }
  // the one whose leaving makes room for the next
  const leaving = recent.sort((a, b) => a - b)[recent.length - settings.limits.startsPerMinute] ?? nowMs
  return { left: 0, againMs: leaving + MINUTE_MS + 1 }
}

/** Times of all starts; one that is seen and remembered counts once, two of one name that are remembered twice. */
function merged(
  seen: readonly { name: string; atMs: number }[],
  remembered: readonly { name: string; atMs: number }[],
): number[] {
  const unmatched = new Map<string, number>()
  for (const { name } of seen) unmatched.set(name, (unmatched.get(name) ?? 0) + 1)
  const times = seen.map(({ atMs }) => atMs)
  for (const { name, atMs } of remembered) {
    const matches = unmatched.get(name) ?? 0
    if (matches > 0) unmatched.set(name, matches - 1)
    else times.push(atMs)
  }
  return times
}

/** Turns wishes into creations, as many as may be; returns how many wait. */
export function grant(world: World, draft: Draft, symbols: readonly SymbolPods[], budget: Budget): number {
  const surge = Math.max(0, world.settings.limits.rolloutsAtOnce - rollingOut(symbols))
  const order = draft.wishes.toSorted((a, b) => TURN[a.cause] - TURN[b.cause])
  let left = budget.left
  let spared = surge
  let waiting = 0
  for (const wish of order) {
    if (left === 0 || (wish.cause === 'spec' && spared === 0)) {
      waiting++
      continue
    }
    left--
    if (wish.cause === 'spec') spared--
    draft.actions.push(creation(world, wish))
  }
  if (waiting > 0 && budget.againMs !== undefined) draft.wakeAt(budget.againMs)
  else if (waiting > 0 && left === 0) draft.wakeAt(world.nowMs + MINUTE_MS)
  return waiting
}

/** Successors for a changed template that are not live yet. */
function rollingOut(symbols: readonly SymbolPods[]): number {
  return symbols.filter(({ hash, pods }) => {
    const actives = pods.filter(({ active }) => active)
    const successor = actives.find((pod) => pod.hash === hash)
    return successor?.cause === 'spec' && !successor.live && actives.length > 1
  }).length
}

function creation(world: World, { symbol, hash, cause, why, avoidNodes }: Wish): CreateAction {
  const { capture, crowd, pods, settings } = world
  const { exchange } = capture.spec
  const names = pods.filter(({ ref }) => ref.namespace === capture.namespace).map(({ ref }) => ref.name)
  const attempt = nextAttempt(names, podNameBase(capture.name, exchange, symbol))
  const predecessor = predecessorOf(symbol, exchange, destinationOf(capture.spec), pods, world.nowMs)
  const pod = buildPod(
    {
      capture,
      symbol,
      attempt,
      hash,
      generation: world.generation,
      share: crowd.share,
      predecessor,
      cause,
      avoidNodes,
    },
    settings,
  )
  const name = pod.metadata?.name ?? ''
  const note = `${name} is created for ${symbol}: ${why}`
  return {
    kind: 'create',
    pod,
    symbol,
    cause,
    why: note,
    needs: { ...specOf(world) },
    event: {
      type: 'Normal',
      reason: 'PodCreated',
      action: 'Create',
      note,
      key: `${capture.uid}/${name}/${predecessor?.uid ?? ''}/create`,
    },
  }
}
