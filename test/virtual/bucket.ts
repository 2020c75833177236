import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { recordSegment } from '../../capture/record/mod.ts'
import { keyOfManifest, LocalBucket, MANIFEST_FILE } from '../../capture/ship/mod.ts'
import { verifyBucket } from '../../capture/verify/mod.ts'
import type { VirtualCapture } from './capture.ts'
import { text, type Violation } from './chain.ts'

/** Records every segment of a capture for real, Parquet and manifests, into a bucket at `root`. */
export async function recordBucket(
  capture: VirtualCapture,
  root: string,
  tell: (v: Violation) => void,
): Promise<void> {
  const work = `${root}.work`
  await mkdir(work, { recursive: true })
  for (const path of capture.disk.paths) {
    const segmentPath = join(work, basename(path))
    await writeFile(segmentPath, capture.disk.read(path))
    const outDir = `${segmentPath}.out`
    await mkdir(outDir)
    const outcome = await recordSegment({ segmentPath, outDir, prefix: '' })
    if (outcome.outcome === 'mismatch') tell({ rule: 'record_mismatch', evidence: outcome.detail })
    if (outcome.outcome !== 'recorded') continue
    const { manifest } = outcome
    const files = manifest.objects.map(({ stream, key }) => [`${stream}.parquet`, key] as const)
    for (const [name, key] of [...files, [MANIFEST_FILE, keyOfManifest(manifest)] as const]) {
      await mkdir(dirname(join(root, key)), { recursive: true })
      await rename(join(outDir, name), join(root, key))
    }
  }
  await rm(work, { recursive: true })
}

/** What a stranger finds wrong with the bucket. */
export async function verifyRecorded(root: string, tell: (v: Violation) => void): Promise<void> {
  const { problems } = await verifyBucket(new LocalBucket(root))
  for (const problem of problems) tell({ rule: 'verify', evidence: text(problem) })
}
