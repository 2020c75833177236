/** Replacement of a pod that is live: make before break. */
import assert from 'node:assert/strict'
import { type Captures, nameOf } from './captures.ts'
import type { PodHistory } from './history.ts'

/** Each symbol, which had so many pods one after another, has its next one, and it alone. Resolves with their names. */
export async function succeeded(
  scene: Captures,
  history: PodHistory,
  symbols: readonly string[],
  before: number,
): Promise<string[]> {
  const successors: string[] = []
  await history.upToDate()
  for (const symbol of symbols) {
    const old = history.pods(symbol)[before - 1] ?? ''
    const live = await scene.live(symbol, { not: history.pods(symbol).slice(0, before), deadlineMs: 180_000 })
    const successor = nameOf(live)
    await history.upToDate()
    assert.equal(history.pods(symbol).indexOf(successor), before, 'one successor each')
    assert.ok(history.liveWhenDeleted(old).includes(successor), 'the successor was live first')
    assert.ok(history.last(successor).predecessor.startsWith(`${old}/`))
    successors.push(successor)
  }
  return successors
}
