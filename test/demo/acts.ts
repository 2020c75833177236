/**
 * The faults of the demo, one after the other. Each waits until its book is live and the fault before it is over:
 * nothing here hangs on the speed of the machine.
 */
import { KILL } from './faults.ts'
import type { Seen, Watch } from './watch.ts'

/** How long a book must have been live, so that there is data before the fault. */
const CALM_MS = 2500
/** To be live at the start, and again after a fault: far above what any of them takes. */
const LIVE_MS_MAX = 180_000
/** What was not noticed by then met a book that was not live: it is done again. */
const AGAIN_MS = 60_000

export interface Act {
  readonly kind: string
  readonly symbol: string
  /** Seconds for which the exchange goes on with it; absent for what happens once. */
  readonly forSeconds?: number
  /** The event of the capture by which we know that it was noticed. */
  readonly noticedAs: string
  readonly calmMs?: number
  /** It may pass unnoticed, and is then done again after so long. */
  readonly againMs?: number
}

/** Told apart by symbol and reason. */
export const ACTS: readonly Act[] = [
  { kind: 'drop', symbol: 'ETHUSDT', noticedAs: 'sequence' },
  // noticed after some 5 s: 2 of silence, the question, 2 more; again only where the machine is that slow
  { kind: 'silence', symbol: 'ETHUSDT', forSeconds: 8, noticedAs: 'stale', againMs: 7000 },
  // a connection that is lost soon after it was made is not replaced at once
  { kind: 'cut', symbol: 'BTCUSDT', noticedAs: 'reconnect', calmMs: 12_000 },
  { kind: 'crossed', symbol: 'BTCUSDT', noticedAs: 'CrossedBook' },
  { kind: KILL, symbol: 'ETHUSDT', noticedAs: 'Killed' },
]

/**
 * Beside the others, because an audit comes every 30 s at the most. Until then a true change may mend the level: the
 * lie is told again.
 */
export const LIE: Act = {
  kind: 'flip_level',
  symbol: 'SOLUSDT',
  noticedAs: 'audit_mismatch',
  calmMs: 10_000,
  againMs: 9000,
}

export interface Stage {
  readonly watch: Watch
  /** Arms a fault at the exchange. */
  inject(fault: string): void
  kill(symbol: string, pid: number): void
}

/** Plays them one after the other; ends early where the capture does. */
export async function play(acts: readonly Act[], stage: Stage): Promise<void> {
  for (const act of acts) {
    if (await isCalm(act, stage.watch)) await playOne(act, stage)
  }
}

/** Live for long enough. */
async function isCalm({ symbol, calmMs = CALM_MS }: Act, watch: Watch): Promise<boolean> {
  const seen = watch.of(symbol)
  const deadlineMs = performance.now() + LIVE_MS_MAX
  const isLive = () => seen.liveAtMs !== undefined
  while (performance.now() < deadlineMs) {
    if (!(await watch.until(isLive, LIVE_MS_MAX))) return false
    if (!(await watch.until(() => !isLive(), leftMs(seen, calmMs)))) return !watch.over
  }
  return false
}

function leftMs({ liveAtMs = Date.now() }: Seen, calmMs: number): number {
  return Math.max(0, liveAtMs + calmMs - Date.now())
}

async function playOne(act: Act, { watch, inject, kill }: Stage): Promise<void> {
  const { kind, symbol, forSeconds, noticedAs, againMs = AGAIN_MS } = act
  const seen = watch.of(symbol)
  const before = seen.falls.length
  const noticed = () => seen.falls.slice(before).some(({ reason }) => reason === noticedAs)
  const deadlineMs = performance.now() + LIVE_MS_MAX
  do {
    if (kind !== KILL) inject(`${kind}:${symbol}@0${forSeconds === undefined ? '' : `+${forSeconds}`}`)
    else if (seen.pid !== undefined) kill(symbol, seen.pid)
    await watch.until(noticed, againMs)
  } while (!noticed() && !watch.over && performance.now() < deadlineMs)
  await watch.until(() => seen.liveAtMs !== undefined, LIVE_MS_MAX)
}
