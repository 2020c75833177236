import {
  type AttentionEntry,
  type CaptureStatus,
  type Condition,
  REASON_LENGTH_MAX,
} from '../../api/resource.ts'
import { conditionsOf, type Findings } from './conditions.ts'
import type { SymbolReport } from './symbols.ts'
import { cutAt } from './text.ts'
import { timeText } from './time.ts'

/** The status of an L2Capture, made anew from what is seen. Of the one before only times are taken over. */

const MESSAGE_LENGTH_MAX = 300
const RESTARTS_MAX = 2_147_483_647

/** What needs a person first comes first. */
const URGENCY = ['Stopped', 'Halted', 'Conflict', 'Pending', 'Recovering', 'Starting', 'Live']

export function statusOf(
  findings: Findings,
  before: CaptureStatus | undefined,
  generation: number,
  attentionMax: number,
  nowMs: number,
): CaptureStatus {
  const { reports } = findings
  const needing = reports.filter(({ state }) => state !== 'Live').toSorted(byUrgency)
  const attention = needing
    .slice(0, attentionMax)
    .map((report) => entryOf(report, before?.attention ?? [], nowMs))
  return {
    observedGeneration: generation,
    symbols: {
      desired: findings.desired,
      live: reports.length - needing.length,
      halted: reports.filter(({ state }) => state === 'Halted' || state === 'Stopped').length,
    },
    attention,
    attentionOmitted: needing.length - attention.length,
    conditions: conditionsOf(findings, before?.conditions ?? [], generation, nowMs),
  }
}

export function conditionOf(status: CaptureStatus | undefined, type: string): Condition | undefined {
  return status?.conditions?.find((one) => one.type === type)
}

function entryOf(report: SymbolReport, before: readonly AttentionEntry[], nowMs: number): AttentionEntry {
  const { symbol, state, sinceMs } = report
  const reason = cutAt(report.reason, REASON_LENGTH_MAX)
  // what no object tells is taken from what we wrote when we first saw it
  const old = before.find(
    (entry) => entry.symbol === symbol && entry.state === state && entry.reason === reason,
  )
  return {
    symbol,
    state,
    reason,
    message: cutAt(report.message, MESSAGE_LENGTH_MAX),
    since: sinceMs === undefined ? (old?.since ?? timeText(nowMs)) : timeText(sinceMs),
    restarts: Math.min(RESTARTS_MAX, report.restarts),
    pod: report.pod,
  }
}

function byUrgency(a: SymbolReport, b: SymbolReport): number {
  return URGENCY.indexOf(a.state) - URGENCY.indexOf(b.state) || (a.symbol < b.symbol ? -1 : 1)
}
