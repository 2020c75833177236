import type { ConditionType } from '../../api/conditions.ts'
import { type Condition, REASON_LENGTH_MAX } from '../../api/resource.ts'
import type { Suspect } from './breaker.ts'
import type { SymbolReport } from './symbols.ts'
import { cutAt } from './text.ts'
import { timeText } from './time.ts'

/**
 * The seven conditions, all of them from the first visit on. A message holds nothing that changes while the matter
 * stays the same: no times, no growing numbers, or every look would be a write.
 */

const MESSAGE_LENGTH_MAX = 1024
const NAMED_MAX = 3

/** What conditions are made of. */
export interface Findings {
  readonly specFault: string | undefined
  readonly suspended: boolean
  /** Symbols that the spec names. */
  readonly desired: number
  /** Wanted symbols, those in conflict among them. */
  readonly reports: readonly SymbolReport[]
  /** Pods of symbols that are not wanted, and have not ended. */
  readonly draining: number
  /** Symbols whose pod has an old template, and that no failed roll-out holds. */
  readonly rollingOut: number
  /** Symbols with two pods at work, or that wait for a pod in place of one that halted or ended. */
  readonly replacing: number
  /** Symbols whose successor was not live in time. */
  readonly timedOut: readonly string[]
  /** Symbols for which the API server takes no pod, and its words. */
  readonly refused: readonly SymbolRefusal[]
  /** Symbols that are down until the spec changes, also where an old pod goes on. */
  readonly stopped: readonly SymbolStop[]
  readonly suspect: Suspect | undefined
  readonly uploads: Uploads
}

export interface SymbolStop {
  readonly symbol: string
  readonly reason: string
  readonly message: string
}

export interface SymbolRefusal {
  readonly symbol: string
  readonly message: string
}

export interface Uploads {
  /** Pods that have told how their uploads go. */
  readonly asked: number
  readonly failing: readonly { readonly symbol: string; readonly reason: string }[]
}

interface Said {
  readonly status: Condition['status']
  readonly reason: string
  readonly message: string
}

/** All conditions; the transition time of one moves only when its status does. */
export function conditionsOf(
  findings: Findings,
  before: readonly Condition[],
  generation: number,
  nowMs: number,
): Condition[] {
  const capturing = capturingSaid(findings)
  const uploading = uploadingSaid(findings)
  const stalled = stalledSaid(findings)
  const said: Readonly<Record<ConditionType, Said>> = {
    Ready: readySaid(findings, capturing, uploading, stalled),
    Capturing: capturing,
    Uploading: uploading,
    Halted: haltedSaid(findings),
    Suspended: suspendedSaid(findings),
    Reconciling: reconcilingSaid(findings),
    Stalled: stalled,
  }
  return Object.entries(said).map(([type, { status, reason, message }]) => {
    const old = before.find((one) => one.type === type)
    return {
      type,
      status,
      // a report's reason is whatever its process wrote
      reason: cutAt(reason, REASON_LENGTH_MAX),
      message: cutAt(message, MESSAGE_LENGTH_MAX),
      lastTransitionTime: old?.status === status ? old.lastTransitionTime : timeText(nowMs),
      observedGeneration: generation,
    }
  })
}

function readySaid({ suspended }: Findings, capturing: Said, uploading: Said, stalled: Said): Said {
  if (stalled.status === 'True') return no('Stalled', `${stalled.reason}: ${stalled.message}`)
  if (suspended) return no('Suspended', 'the spec suspends capturing')
  if (capturing.status !== 'True') return capturing
  if (uploading.status === 'False') return uploading
  return capturing
}

function capturingSaid({ specFault, suspended, reports }: Findings): Said {
  if (specFault !== undefined) return no('SpecInvalid', specFault)
  if (suspended) return no('Suspended', 'the spec suspends capturing')
  const missing = reports.filter(({ state }) => state !== 'Live')
  if (missing.length === 0) return yes('AllSymbolsLive', `${countOf(reports, 'symbol')} live`)
  const message = `${missing.length} of ${countOf(reports, 'symbol')} not live: ${named(missing)}`
  if (missing.every(({ state }) => state === 'Conflict')) return no('SymbolConflict', message)
  const starting = missing.every(({ state }) => state === 'Pending' || state === 'Starting')
  return no(starting ? 'SymbolsStarting' : 'SymbolsNotLive', message)
}

function uploadingSaid({ uploads: { asked, failing } }: Findings): Said {
  const [first] = failing
  if (first !== undefined) {
    return no('UploadFailing', `${failing.length} cannot ship: ${named(failing)}: ${first.reason}`)
  }
  if (asked === 0) return { status: 'Unknown', reason: 'NotAsked', message: 'no pod has told yet' }
  return yes('UploadsSucceed', 'all pods that told ship what they record')
}

function haltedSaid({ reports, suspect }: Findings): Said {
  if (suspect !== undefined) {
    const { reason, halting, of } = suspect
    const message = `${reason} on a third of the exchange's pods or more: nothing is replaced`
    return yes('ExchangeSuspect', of === 0 || halting === 0 ? reason : message)
  }
  const halted = reports.filter(({ state }) => state === 'Halted' || state === 'Stopped')
  const [first] = halted
  if (first === undefined) return no('NoneHalted', 'no symbol is halted')
  const alike = halted.every(({ reason }) => reason === first.reason)
  const message = `${countOf(halted, 'symbol')} halted: ${named(halted)}`
  return yes(alike ? first.reason : 'SeveralReasons', alike ? `${message}: ${first.message}` : message)
}

function suspendedSaid({ suspended, draining }: Findings): Said {
  if (!suspended) return no('NotSuspended', 'the spec does not suspend capturing')
  if (draining === 0) return yes('Drained', 'no pod holds anything any more')
  return yes('Draining', `${pods(draining)} still ship what they hold`)
}

function reconcilingSaid(findings: Findings): Said {
  const { reports, draining, rollingOut, replacing, specFault } = findings
  if (specFault !== undefined) return no('UpToDate', 'nothing is done under a spec that cannot be used')
  const starting = reports.filter(({ state }) => state === 'Pending' || state === 'Starting')
  if (starting.length > 0) return yes('Creating', `not live yet: ${named(starting)}`)
  if (rollingOut > 0) return yes('RollingOut', `${rollingOut} symbols with an old template`)
  if (replacing > 0) return yes('Replacing', `${replacing} symbols get another pod`)
  if (draining > 0) return yes('Draining', `${pods(draining)} still ship what they hold`)
  return no('UpToDate', 'the cluster is as the spec wants it')
}

function stalledSaid({ specFault, reports, stopped, timedOut, refused }: Findings): Said {
  if (specFault !== undefined) return yes('SpecInvalid', specFault)
  const conflicts = reports.filter(({ state }) => state === 'Conflict')
  if (conflicts[0] !== undefined) {
    return yes('SymbolConflict', `${named(conflicts)}: ${conflicts[0].message}`)
  }
  const [stop] = stopped
  if (stop !== undefined) {
    const { reason, message } = stop
    return yes('SymbolStopped', `${named(stopped)} until the spec changes: ${reason}: ${message}`)
  }
  if (refused[0] !== undefined) {
    return yes('PodRefused', `${named(refused)}: ${refused[0].message}`)
  }
  if (timedOut.length > 0) {
    const symbols = named(timedOut.map((symbol) => ({ symbol })))
    return yes('RolloutTimedOut', `successors were not live in time, the old pods stay: ${symbols}`)
  }
  return no('Progressing', 'nothing waits for a person')
}

function yes(reason: string, message: string): Said {
  return { status: 'True', reason, message }
}

function no(reason: string, message: string): Said {
  return { status: 'False', reason, message }
}

function named(symbols: readonly { readonly symbol: string }[]): string {
  const names = symbols.slice(0, NAMED_MAX).map(({ symbol }) => symbol)
  const rest = symbols.length - names.length
  return names.join(', ') + (rest > 0 ? ` and ${rest} more` : '')
}

function countOf(list: readonly unknown[], noun: string): string {
  return `${list.length} ${noun}${list.length === 1 ? '' : 's'}`
}

function pods(count: number): string {
  return count === 1 ? '1 pod' : `${count} pods`
}
