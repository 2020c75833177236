import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { HaltReason } from '../../api/reasons.ts'
import { exchangeByName } from '../../capture/exchange/mod.ts'
import { type JournalError, type JournalFs, makeRunId } from '../../capture/journal/mod.ts'
import { Run, type RunOptions } from '../../capture/process/run.ts'
import type { FetchRequest, Input, SessionConfig } from '../../capture/session/mod.ts'
import { GUARDS, NO_REQUESTS, NO_ROWS } from './session.ts'

export const SESSION: SessionConfig = {
  exchange: 'BinanceUsdm',
  symbol: 'BTCUSDT',
  streams: ['books', 'depth', 'trades', 'mark_price'],
  bookLevels: 5,
  guards: GUARDS,
}

/** A clock that a test moves by hand; microseconds. */
export class HandClock {
  nowUs: number
  /** Wall clock − receive time, microseconds. */
  distanceUs = 0
  anchors = 0

  constructor(nowUs: number) {
    this.nowUs = nowUs
  }
  now(): number {
    return this.nowUs
  }
  anchor(): void {
    this.anchors++
  }
  wallDistance(): number {
    return this.distanceUs
  }
}

export interface DrivenRun {
  readonly run: Run
  readonly runId: string
  readonly clock: HandClock
  readonly journalDir: string
  /** Windows whose segments are sealed, in order. */
  readonly sealed: number[]
  readonly halts: HaltReason[]
  /** Why it ended by itself, where it did. */
  readonly ends: EndOfItself[]
  readonly errors: JournalError[]
  readonly requests: FetchRequest[]
  /** Takes an input at the clock's time. */
  input(input: UntimedInput): void
  segment(window: number): string
}

/** Input without its receive time. */
export type UntimedInput = Input extends infer T ? (T extends Input ? Omit<T, 'received'> : never) : never

export interface DrivenOptions {
  readonly startUs: number
  readonly rotationSeconds: number
  readonly config?: SessionConfig
  readonly fs?: JournalFs
}

type EndOfItself = Parameters<RunOptions['onEnd']>[0]

let made = 0

/** A run whose clock and inputs a test gives; its journal lies in `dir`. */
export function driveRun(
  dir: string,
  { startUs, rotationSeconds, config = SESSION, fs }: DrivenOptions,
): DrivenRun {
  const clock = new HandClock(startUs)
  const sealed: number[] = []
  const halts: HaltReason[] = []
  const ends: EndOfItself[] = []
  const errors: JournalError[] = []
  const requests: FetchRequest[] = []
  made++
  const runId = makeRunId(startUs, (size) => Buffer.alloc(size, made))
  const run = new Run({
    run: runId,
    journalDir: dir,
    config,
    exchange: exchangeByName(config.exchange),
    writer: { capture: 'test', uid: '', pod: '', node: '' },
    rotationSeconds,
    clock,
    requests: { ...NO_REQUESTS, fetch: (request) => requests.push(request) },
    rows: NO_ROWS,
    onEnd: (reason) => ends.push(reason),
    onHalt: (reason) => halts.push(reason),
    onWindow: (window) => sealed.push(window),
    onJournalError: (error) => errors.push(error),
    ...(fs === undefined ? {} : { fs }),
  })
  return {
    run,
    runId,
    clock,
    journalDir: dir,
    sealed,
    halts,
    ends,
    errors,
    requests,
    input: (input) => run.input({ ...input, received: clock.nowUs } as Input),
    segment: (window) => join(dir, `${runId}-${String(window).padStart(6, '0')}.journal`),
  }
}

/** A directory of its own for a test, removed after it. */
export async function withDirectory(body: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'l2cap-test-'))
  try {
    await body(dir)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}
