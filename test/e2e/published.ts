/** What the bucket of a scene tells: manifests, and what coverage says is missing. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LocalBucket, type Manifest, parseManifest, parseManifestKey } from '../../capture/ship/mod.ts'
import type { CoverageDay } from '../../capture/verify/mod.ts'
import type { Summary } from '../support/judge.ts'
import { waitFor } from '../support/wait.ts'

const STREAMS = 4

/** A scene with a store, wherever that runs. */
export interface Stored {
  /** A directory that holds what the bucket holds now; where a part is named it may lack the rest. */
  bucket(part?: 'manifest'): Promise<string>
  /** What the processes of a pod printed. */
  outputOf(pod: string): string | Promise<string>
  judge(symbol: string): Promise<Summary>
  /** What `l2cap verify` says of the coverage. Throws where it finds a problem. */
  coverage(): Promise<readonly CoverageDay[]>
}

/** All manifests of a symbol, in order of run and window. */
export async function manifestsOf(scene: Stored, symbol: string): Promise<Manifest[]> {
  const data = await scene.bucket('manifest')
  const bucket = new LocalBucket(data)
  const manifests: Manifest[] = []
  for await (const { key } of bucket.list('')) {
    if (parseManifestKey(key)?.symbol !== symbol) continue
    manifests.push(parseManifest(await readFile(join(data, key))))
  }
  return manifests.sort((a, b) => (a.run === b.run ? a.window - b.window : a.run < b.run ? -1 : 1))
}

export async function manifestsBy(scene: Stored, symbol: string, pod: string): Promise<Manifest[]> {
  return (await manifestsOf(scene, symbol)).filter(({ writer }) => writer.pod === pod)
}

/** Resolves when this pod has published so many windows. */
export async function publishes(scene: Stored, symbol: string, pod: string, windows = 1): Promise<void> {
  await waitFor(
    `${pod} to publish ${windows} windows of ${symbol}`,
    async () => (await manifestsBy(scene, symbol, pod)).length >= windows,
    { deadlineMs: 180_000, everyMs: 200, show: async () => (await scene.outputOf(pod)).slice(-3000) },
  )
}

/** Seconds that coverage of the symbol says are missing, by stream: from the first evidence to the last. */
export async function missingSeconds(scene: Stored, symbol: string): Promise<Record<string, number>> {
  const missing: Record<string, number> = {}
  for (const day of await scene.coverage()) {
    if (day.symbol === symbol) missing[day.stream] = (missing[day.stream] ?? 0) + day.seconds.missing
  }
  if (Object.keys(missing).length !== STREAMS)
    throw new Error(`streams of ${symbol}: ${JSON.stringify(missing)}`)
  return missing
}

/**
 * These pods recorded the symbol one after another: each but the last said that it publishes no more, the next began
 * exactly there; nothing is missing, nothing is doubled, nothing had to be marked.
 */
export async function handedOver(scene: Stored, symbol: string, pods: readonly string[]): Promise<void> {
  const manifests = await manifestsOf(scene, symbol)
  for (const pod of pods) {
    const own = manifests.filter(({ writer }) => writer.pod === pod)
    assert.equal(own.at(-1)?.final, true, `${pod} says that it publishes no more`)
  }
  assert.deepEqual(overlapping(manifests), [])
  const { runs, published, ended } = await scene.judge(symbol)
  assert.equal(runs, pods.length)
  assert.ok((published['depth'] ?? 0) > 0)
  const missing = await missingSeconds(scene, symbol)
  const none = Object.fromEntries(Object.keys(missing).map((stream) => [stream, 0]))
  const why = `seconds of ${symbol} that are missing: ${JSON.stringify(missing)}; coverage ended by ${JSON.stringify(ended)}`
  assert.deepEqual(missing, none, why)
}

/** Windows that are marked: what lies in them may be there twice. */
export function overlapping(manifests: readonly Manifest[]): string[] {
  return manifests.filter(({ overlaps }) => overlaps === true).map(({ run, window }) => `${run} ${window}`)
}
