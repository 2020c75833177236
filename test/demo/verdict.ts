/** Whether the data tells of all that happened, and saying so. */
import { timeOfDay } from '../../capture/cli/text.ts'
import { type Contents, type Gap, type Suspect, stretchMs } from './data.ts'
import { KILL, knownFault } from './faults.ts'
import type { Fault } from './watch.ts'

/** A fault that was to happen. */
export interface Asked {
  readonly kind: string
  /** `*`: whichever. */
  readonly symbol: string
}

/** What coverage tells, as lines. */
export function coverageLines({ gaps, suspects }: Contents): string[] {
  const lines = gaps.length === 0 ? ['Coverage tells of no gap.'] : gapLines(gaps)
  return suspects.length === 0 ? lines : [...lines, '', ...suspectLines(suspects)]
}

function gapLines(gaps: readonly Gap[]): string[] {
  const lines = ['What coverage, a file beside the data, tells of gaps:']
  // streams that fall together have one line, by the first of them: books before depth, trades and mark prices
  const sorted = gaps.toSorted((a, b) => (a.stream < b.stream ? -1 : 1))
  const seen = new Map<string, number>()
  const together = Map.groupBy(sorted, ({ symbol, stream, reason }) => {
    const nth = seen.get(`${symbol} ${stream} ${reason}`) ?? 0
    seen.set(`${symbol} ${stream} ${reason}`, nth + 1)
    return `${symbol} ${reason} ${nth}`
  })
  for (const group of [...together.values()].sort((a, b) =>
    (a[0]?.from ?? '') < (b[0]?.from ?? '') ? -1 : 1,
  )) {
    const [gap] = group
    if (gap === undefined) continue
    const streams = listed(group.map(({ stream }) => stream))
    lines.push(`  ${gap.symbol}  ${gap.reason.padEnd(14)}  ${stretchText(gap)}, of ${streams}`)
    if (gap.detail !== '') lines.push(`      ${gap.detail}`)
  }
  return lines
}

function suspectLines(suspects: readonly Suspect[]): string[] {
  const lines = ['And what it withdraws, because it was published before the wrong was found ("suspect"):']
  for (const suspect of suspects) {
    const { symbol, reason, streams } = suspect
    lines.push(`  ${symbol}  ${reason.padEnd(14)}  ${stretchText(suspect)}, of ${listed(streams)}`)
  }
  return lines
}

function stretchText(stretch: Pick<Gap, 'from' | 'to'>): string {
  const ms = stretchMs(stretch)
  const from = timeOfDay(stretch.from)
  if (stretch.to === null || ms === undefined) return `${from} to the end`
  const length = ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`
  return `${from} to ${timeOfDay(stretch.to)} (${length})`
}

function listed(words: readonly string[]): string {
  const [last = '', ...before] = words.toReversed()
  return before.length === 0 ? last : `${before.toReversed().join(', ')} and ${last}`
}

/** Faults that were asked for and did not happen, or happened and do not show; each as a sentence. */
export function faultsMissing(
  asked: readonly Asked[],
  happened: readonly Fault[],
  contents: Contents,
): string[] {
  const missing: string[] = []
  for (const together of Map.groupBy(asked, ({ kind, symbol }) => `${kind} of ${symbol}`)) {
    const [name, [one, ...more]] = together
    if (one === undefined) continue
    const times = 1 + more.length
    const isIt = (symbol: string) => one.symbol === '*' || one.symbol === symbol
    const faults = happened.filter(({ kind, symbol }) => kind === one.kind && isIt(symbol))
    if (faults.length < times) missing.push(`the fault ${name} was to happen and did not`)
    else missing.push(...unseen(one, times, name, contents), ...unpublished(one, faults, contents))
  }
  return missing
}

function unseen(
  { kind, symbol }: Asked,
  times: number,
  name: string,
  { gaps, suspects }: Contents,
): string[] {
  const known = knownFault(kind)
  if (known === undefined) return [] // nobody says how it should show
  const { reason } = known
  const isIt = (gap: { symbol: string; reason: string }) =>
    gap.reason === reason && (symbol === '*' || symbol === gap.symbol)
  const perStream = [...Map.groupBy(gaps.filter(isIt), ({ stream }) => stream).values()]
  const shows = Math.max(0, ...perStream.map(({ length }) => length))
  const missing = shows < times ? [`the fault ${name} does not show in coverage as "${reason}"`] : []
  if (known.suspect === true && !suspects.some(isIt))
    missing.push(`the fault ${name} did not withdraw the rows before it`)
  return missing
}

/** What a killed process had told us of must be in the bucket. */
function unpublished({ kind, symbol }: Asked, faults: readonly Fault[], { gaps }: Contents): string[] {
  if (kind !== KILL) return []
  const crashes = gaps.filter((gap) => gap.symbol === symbol && gap.reason === knownFault(KILL)?.reason)
  const published = crashes.reduce(
    (max, { stream, lastId }) => (stream === 'depth' && lastId > max ? lastId : max),
    0n,
  )
  const received = faults.reduce((max, { lastId = 0n }) => (lastId > max ? lastId : max), 0n)
  if (published >= received && received > 0n) return []
  return [`the killed process of ${symbol} had received id ${received}, and only ${published} was published`]
}
