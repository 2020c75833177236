/** `l2cap ls`: what is covered, by the word of the manifests; quick, since no data object is read. */
import { EXIT_INTERNAL_ERROR } from '../../api/reasons.ts'
import type { Bucket } from '../ship/mod.ts'
import type { VerifyReport } from '../verify/mod.ts'
import { CallError, readCall } from './call.ts'
import { countingKeys, LiveLine, listingText } from './live-line.ts'
import { noManifest, onePath, openPlace, PLACE_HELP, PLACE_OPTIONS } from './place.ts'
import { withdrawnNote } from './text.ts'

export const HELP = `l2cap ls: shows what is covered and what is missing, one line a symbol, stream and day.

Takes the manifests at their word and reads no data object, so it is quick; l2cap verify proves what it says.
proven: unbroken by the exchange's own chain of ids; observed: received, where the exchange gives no chain;
suspect: withdrawn after a mistake was found; missing: all between the first and the last evidence that is not
proven or observed, what is suspect included (unless another run proves the same ids).

  l2cap ls PATH

  PATH      the directory that holds manifest/ and parquet/, or any directory above; or s3://bucket/prefix

${PLACE_HELP}

Examples:
  l2cap ls ./data
  l2cap ls s3://market-data/l2 --s3-endpoint https://minio.example:9000

Exit codes: 0 done, 1 a manifest is missing or damaged (it is named) or cannot be read, 2 wrong call.
`

export async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = readCall('l2cap ls', args, PLACE_OPTIONS)
  const path = onePath('ls', positionals, 'the directory or bucket of the data')
  const bucket = await openPlace(path, values)
  const report = await coverageOf(path, bucket)
  if (report === undefined) return EXIT_INTERNAL_ERROR
  const { coverageTable } = await import('../verify/mod.ts')
  const { checked, coverage, problems } = report
  const damaged = problems.filter(({ kind }) => kind.startsWith('manifest_'))
  if (checked.manifests === 0 && damaged.length === 0) throw noManifest(path)
  const note = withdrawnNote(coverage)
  if (checked.manifests > 0)
    process.stdout.write(`${[...coverageTable(coverage), ...(note === '' ? [] : [note])].join('\n')}\n`)
  for (const { kind, key, detail } of damaged) {
    process.stderr.write(`l2cap: ${key} (${kind}): ${detail}; see l2cap verify ${path}\n`)
  }
  return damaged.length === 0 ? 0 : 1
}

/** Reads the manifests, with a live line; undefined where the store stops answering, which is told. */
async function coverageOf(path: string, bucket: Bucket): Promise<VerifyReport | undefined> {
  const [{ listCoverage, progressText }, { BucketError }] = await Promise.all([
    import('../verify/mod.ts'),
    import('../ship/mod.ts'),
  ])
  const progress = new LiveLine(process.stderr)
  const counted = countingKeys(bucket, (keys) => progress.show(() => listingText(keys)))
  try {
    return await listCoverage(counted, { onProgress: (now) => progress.show(() => progressText(now)) })
  } catch (error) {
    if (!(error instanceof BucketError)) throw error
    if (error.class === 'configuration' || error.class === 'credential') throw new CallError(error.message)
    process.stderr.write(`l2cap: ${path} cannot be read to its end: ${error.message}\n`)
    return undefined
  } finally {
    progress.clear()
  }
}
