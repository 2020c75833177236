import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { segmentName } from '../../capture/journal/mod.ts'
import { type Lineage, recordClosing, recordSegment } from '../../capture/record/mod.ts'
import {
  keyOfManifest,
  LocalBucket,
  MANIFEST_FILE,
  type Manifest,
  parseTimeUs,
} from '../../capture/ship/mod.ts'
import { verifyBucket } from '../../capture/verify/mod.ts'
import type { VirtualCapture } from './capture.ts'
import { text, type Violation } from './chain.ts'
import type { Publication } from './pod.ts'

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
    await recordOne(segmentPath, root, undefined, tell)
  }
  await rm(work, { recursive: true })
}

/** Records all that pods published for real, each run behind its cut, with the windows that close pods. */
export async function recordPublished(
  publications: readonly Publication[],
  root: string,
  tell: (v: Violation) => void,
): Promise<void> {
  const work = `${root}.work`
  await mkdir(work, { recursive: true })
  for (const { run, window, manifest, segment } of publications) {
    const { predecessor, cut = null, overlaps, reached = {}, writer, exchange, symbol } = manifest
    const lineage = { predecessor, cut, overlaps }
    const segmentPath = join(work, segmentName(run, window))
    if (segment !== undefined) {
      await writeFile(segmentPath, segment)
      const recorded = await recordOne(segmentPath, root, lineage, tell)
      if (recorded === undefined || isDeepStrictEqual(recorded.reached, reached)) continue
      tell({ rule: 'reached', evidence: `${text(recorded.reached)} and ${text(reached)}` })
      continue
    }
    const outDir = `${segmentPath}.out`
    await mkdir(outDir)
    const header = { exchange, symbol, run, window, writer, openedAt: parseTimeUs(manifest.opened) }
    await move(
      await recordClosing({ outDir, prefix: '', header, bookLevels: 1, lineage, reached }),
      outDir,
      root,
    )
  }
  await rm(work, { recursive: true })
}

async function recordOne(
  segmentPath: string,
  root: string,
  lineage: Lineage | undefined,
  tell: (v: Violation) => void,
): Promise<Manifest | undefined> {
  const outDir = `${segmentPath}.out`
  await mkdir(outDir)
  const outcome = await recordSegment({ segmentPath, outDir, prefix: '', lineage })
  if (outcome.outcome === 'mismatch') tell({ rule: 'record_mismatch', evidence: outcome.detail })
  if (outcome.outcome !== 'recorded') return undefined
  await move(outcome.manifest, outDir, root)
  return outcome.manifest
}

async function move(manifest: Manifest, outDir: string, root: string): Promise<void> {
  const files = manifest.objects.map(({ stream, key }) => [`${stream}.parquet`, key] as const)
  for (const [name, key] of [...files, [MANIFEST_FILE, keyOfManifest(manifest)] as const]) {
    await mkdir(dirname(join(root, key)), { recursive: true })
    await rename(join(outDir, name), join(root, key))
  }
}

/** What a stranger finds wrong with the bucket. */
export async function verifyRecorded(root: string, tell: (v: Violation) => void): Promise<void> {
  const { problems } = await verifyBucket(new LocalBucket(root))
  for (const problem of problems) tell({ rule: 'verify', evidence: text(problem) })
}
