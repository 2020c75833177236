/** What the bucket of a scene tells: manifests, and what coverage says is missing. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LocalBucket, type Manifest, parseManifest, parseManifestKey } from '../../capture/ship/mod.ts'
import { verifyBucket } from '../../capture/verify/mod.ts'
import { waitFor } from '../support/wait.ts'
import type { Scene } from './scene.ts'

const STREAMS = 4

/** All manifests of a symbol, in order of run and window. */
export async function manifestsOf(scene: Scene, symbol: string): Promise<Manifest[]> {
  const bucket = new LocalBucket(scene.data)
  const manifests: Manifest[] = []
  for await (const { key } of bucket.list('')) {
    if (parseManifestKey(key)?.symbol !== symbol) continue
    manifests.push(parseManifest(await readFile(join(scene.data, key))))
  }
  return manifests.sort((a, b) => (a.run === b.run ? a.window - b.window : a.run < b.run ? -1 : 1))
}

export async function manifestsBy(scene: Scene, symbol: string, pod: string): Promise<Manifest[]> {
  return (await manifestsOf(scene, symbol)).filter(({ writer }) => writer.pod === pod)
}

/** Resolves when this pod has published so many windows. */
export async function publishes(scene: Scene, symbol: string, pod: string, windows = 1): Promise<void> {
  await waitFor(
    `${pod} to publish ${windows} windows of ${symbol}`,
    async () => (await manifestsBy(scene, symbol, pod)).length >= windows,
    { deadlineMs: 180_000, everyMs: 200, show: () => scene.kubelet.output(pod).slice(-3000) },
  )
}

/** Seconds that coverage of the symbol says are missing, by stream: from the first evidence to the last. */
export async function missingSeconds(scene: Scene, symbol: string): Promise<Record<string, number>> {
  const { coverage } = await verifyBucket(new LocalBucket(scene.data))
  const missing: Record<string, number> = {}
  for (const day of coverage) {
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
export async function handedOver(scene: Scene, symbol: string, pods: readonly string[]): Promise<void> {
  const manifests = await manifestsOf(scene, symbol)
  for (const pod of pods) {
    const own = manifests.filter(({ writer }) => writer.pod === pod)
    assert.equal(own.at(-1)?.final, true, `${pod} says that it publishes no more`)
  }
  assert.deepEqual(overlapping(manifests), [])
  const { runs, published } = await scene.judge(symbol)
  assert.equal(runs, pods.length)
  assert.ok((published['depth'] ?? 0) > 0)
  const missing = await missingSeconds(scene, symbol)
  assert.deepEqual(missing, Object.fromEntries(Object.keys(missing).map((stream) => [stream, 0])))
}

/** Windows that are marked: what lies in them may be there twice. */
export function overlapping(manifests: readonly Manifest[]): string[] {
  return manifests.filter(({ overlaps }) => overlaps === true).map(({ run, window }) => `${run} ${window}`)
}
