/** `l2cap verify`: proves what a directory of captured data holds, from the data alone. */
import { EXIT_DRAINED, EXIT_INTERNAL_ERROR } from '../../api/reasons.ts'
import { CallError, readCall } from './call.ts'
import { noManifest, onePath, requireDirectory } from './place.ts'

const PROGRESS_EVERY_MS = 200
const EXIT_PROBLEMS = EXIT_INTERNAL_ERROR

export const HELP = `l2cap verify: proves what a directory of captured data holds, from the data alone.

Reads every manifest and object: sizes and hashes, rows, the exchange's chain of ids, the book rebuilt from its
changes, and coverage. What is missing is no problem, it is shown: the last table says how long each stream was
proven, and how long it is missing.

  l2cap verify PATH [--json]

  PATH      the directory that holds manifest/ and parquet/, or any directory above
  --json    {ok, checked, problems: [{kind, key, detail}], coverage: […]} on standard output

Examples:
  l2cap verify ./data
  l2cap verify ./data --json | jq .problems

Exit codes: 0 all that is there is right, 1 problems (or data that cannot be read), 2 wrong call.
`

export async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = readCall('l2cap verify', args, { json: { type: 'boolean' } })
  const path = onePath('verify', positionals, 'the directory of the data')
  await requireDirectory(path)
  const [{ coverageTable, summary, verifyBucket }, { BucketError, LocalBucket }] = await Promise.all([
    import('../verify/mod.ts'),
    import('../ship/mod.ts'),
  ])
  const progress = new Progress()
  try {
    const report = await verifyBucket(new LocalBucket(path), {
      onProgress: ({ checked, symbol, windows, windowsDone }) =>
        progress.show(`${symbol}: window ${windowsDone} of ${windows}, ${checked.rows} rows so far`),
    })
    progress.clear()
    if (report.checked.manifests === 0 && report.problems.length === 0) throw noManifest(path)
    if (values.json === true) process.stdout.write(`${JSON.stringify(report)}\n`)
    else process.stdout.write(`${coverageTable(report.coverage).join('\n')}\n\n${summary(report)}\n`)
    return report.ok ? EXIT_DRAINED : EXIT_PROBLEMS
  } catch (error) {
    progress.clear()
    if (!(error instanceof BucketError)) throw error
    if (error.class === 'configuration') throw new CallError(error.message)
    process.stderr.write(`l2cap: ${path} cannot be read to its end: ${error.message}\n`)
    return EXIT_PROBLEMS
  }
}

/** One line on standard error that is written over, where a person watches. */
class Progress {
  #lastMs = Number.NEGATIVE_INFINITY

  show(text: string): void {
    const nowMs = performance.now()
    if (!process.stderr.isTTY || nowMs - this.#lastMs < PROGRESS_EVERY_MS) return
    this.#lastMs = nowMs
    process.stderr.write(`\r\x1b[K${text}`)
  }

  clear(): void {
    if (process.stderr.isTTY && this.#lastMs > 0) process.stderr.write('\r\x1b[K')
  }
}
