import type { V1ContainerStateTerminated, V1ContainerStatus } from '@kubernetes/client-node'
import { CONFIG_ENV } from '../../api/labels.ts'
import { EXIT_WRONG_CALL, type HaltReason, isHaltReason, TERMINAL_HALTS } from '../../api/reasons.ts'
import { parseReport, type Report } from '../../api/report.ts'
import { timeMs } from './time.ts'

/** How a container ended, from its termination message: the process's own report, or what is known without one. */
export interface End {
  /** Of the report; without one Kubernetes' word, such as OOMKilled or Error. */
  readonly reason: string
  readonly message: string
  readonly exitCode: number
  /** As it stands in the status: it tells one end of a pod from another. */
  readonly finishedAt: string
  readonly finishedMs: number
  readonly report: Report | undefined
  readonly halt: HaltReason | undefined
}

/** A process that refuses its configuration says so with an exit code; a report it may not be able to write. */
export const CONFIG_INVALID = 'ConfigInvalid'
const DRAINED = 'Drained'

/** How the container ended last; undefined where it never did. */
export function endOf(container: V1ContainerStatus | undefined): End | undefined {
  const terminated = container?.state?.terminated ?? container?.lastState?.terminated
  return terminated === undefined || terminated === null ? undefined : readEnd(terminated)
}

function readEnd(terminated: V1ContainerStateTerminated): End {
  const { exitCode, message = '' } = terminated
  const report = parseReport(message)
  const finishedMs = timeMs(terminated.finishedAt) ?? 0
  const reason = report?.reason || reasonWithout(terminated)
  return {
    reason,
    message: report?.message ?? message,
    exitCode,
    finishedAt: finishedMs === 0 ? '' : new Date(finishedMs).toISOString(),
    finishedMs,
    report,
    halt: isHaltReason(reason) ? reason : undefined,
  }
}

function reasonWithout({ exitCode, reason = 'Error' }: V1ContainerStateTerminated): string {
  return exitCode === EXIT_WRONG_CALL ? CONFIG_INVALID : reason
}

/** Everything that the pod held is shipped. */
export function isDrained(end: End | undefined): boolean {
  return end?.report?.reason === DRAINED && end.report.unshippedBytes === 0
}

/**
 * A pod that was never live and refuses its configuration has never captured. One that was live may do so, too: where
 * images are pulled at each start, a restart may bring another one, and the spool is full of what the first recorded.
 * Without a report its last words must name the configuration, since other wrong calls end with the same code.
 */
export function holdsNothing({
  end,
  neverLive,
}: {
  readonly end: End | undefined
  readonly neverLive: boolean
}): boolean {
  if (end?.reason !== CONFIG_INVALID || !neverLive) return false
  return end.report === undefined ? end.message.includes(CONFIG_ENV) : end.report.unshippedBytes === 0
}

/** A restart of the same pod cannot cure it. */
export function isTerminal(end: End): boolean {
  return end.reason === CONFIG_INVALID || (end.halt !== undefined && TERMINAL_HALTS.includes(end.halt))
}
