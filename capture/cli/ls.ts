/** `l2cap ls`: what is covered, by the word of the manifests; quick, since no data object is read. */
import { readCall } from './call.ts'
import { noManifest, onePath, requireDirectory } from './place.ts'
import { withdrawnNote } from './text.ts'

export const HELP = `l2cap ls: shows what is covered and what is missing, one line a symbol, stream and day.

Takes the manifests at their word and reads no data object, so it is quick; l2cap verify proves what it says.
proven: unbroken by the exchange's own chain of ids; observed: received, where the exchange gives no chain;
suspect: withdrawn after a mistake was found; missing: all between the first and the last evidence that is not
proven or observed, what is suspect included (unless another run proves the same ids).

  l2cap ls PATH

  PATH      the directory that holds manifest/ and parquet/, or any directory above

Example:
  l2cap ls ./data

Exit codes: 0 done, 1 a manifest is missing or damaged (it is named), 2 wrong call.
`

export async function run(args: readonly string[]): Promise<number> {
  const { positionals } = readCall('l2cap ls', args, {})
  const path = onePath('ls', positionals, 'the directory of the data')
  await requireDirectory(path)
  const [{ coverageTable, listCoverage }, { LocalBucket }] = await Promise.all([
    import('../verify/mod.ts'),
    import('../ship/mod.ts'),
  ])
  const { checked, coverage, problems } = await listCoverage(new LocalBucket(path))
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
