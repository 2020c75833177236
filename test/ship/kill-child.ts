/**
 * The victim of kill.test.ts: one life of a capture's shipping side. It records what has a segment and no seal
 * (standing in for the recorder), commits and drops every sealed window, and kills itself with SIGKILL at the
 * given occurrence of the given step. Arguments: directory, step, occurrence, version of the recorder.
 */

import path from 'node:path'
import { commitWindow } from '../../capture/ship/commit.ts'
import { LocalBucket } from '../../capture/ship/local.ts'
import { openSpool } from '../../capture/ship/spool.ts'
import { recordWindow } from './fixture.ts'

const [directory = '', fatalStep = '', fatalOccurrence = '0', version = ''] = process.argv.slice(2)
let occurrence = 0

function onStep(step: string): void {
  if (step !== fatalStep) return
  occurrence += 1
  if (occurrence === Number(fatalOccurrence)) process.kill(process.pid, 'SIGKILL')
}

const bucket = new LocalBucket(path.join(directory, 'bucket'), { onStep })
const spool = await openSpool(path.join(directory, 'spool'))
for (const window of await spool.listWindows()) {
  if (window.hasSealed) continue
  await recordWindow(spool, { window: window.window, streams: ['books20', 'coverage'], version })
  onStep('sealed')
}
for (const { name } of await spool.listWindows()) {
  await commitWindow(bucket, spool, name, { onStep })
  await spool.dropWindow(name, onStep)
}
