/** The window that says that a pod publishes no more: made when everything before it is committed. */
import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import type { ProcessConfig } from '../../api/config.ts'
import { makeRunId } from '../journal/mod.ts'
import type { Recorder } from '../record/mod.ts'
import { type Spool, windowName } from '../ship/mod.ts'
import type { Lineage } from './lineage.ts'
import { writerOf } from './writer.ts'

export interface ClosingOptions {
  readonly config: ProcessConfig
  readonly spool: Spool
  readonly recorder: Pick<Recorder, 'recordClosing'>
  readonly lineage: Lineage
  readonly nowUs: () => number
}

/**
 * Seals the closing window of this pod. Repeated, it seals the same one again: one that was committed before is found
 * in the bucket, and left. Returns its name. Throws RecordError, SpoolError and the system's errors.
 */
export async function sealClosing({
  config,
  spool,
  recorder,
  lineage,
  nowUs,
}: ClosingOptions): Promise<string> {
  const closing = await lineage.closing(() => makeRunId(nowUs(), randomBytes), nowUs())
  const { run, window, atUs, reached } = closing
  const name = windowName(run, window)
  // sealed by a process that was killed before it was committed
  if ((await spool.listWindows()).some((each) => each.name === name && each.hasSealed)) return name
  const { exchange, symbol, bookLevels } = config
  const outDir = await spool.makeTmp(name)
  try {
    await recorder.recordClosing({
      outDir,
      prefix: '',
      header: { exchange, symbol, run, window, writer: writerOf(config), openedAt: atUs },
      bookLevels,
      lineage: closing.lineage,
      reached,
    })
    await spool.sealWindow(outDir, name)
  } finally {
    await rm(outDir, { recursive: true, force: true })
  }
  return name
}
