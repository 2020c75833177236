/** `l2cap verify`: proves what a directory or bucket of captured data holds, from the data alone. */
import { EXIT_DRAINED, EXIT_INTERNAL_ERROR } from '../../api/reasons.ts'
import type { VerifyProgress } from '../verify/mod.ts'
import { CallError, readCall } from './call.ts'
import { countingKeys, LiveLine, listingText } from './live-line.ts'
import { noManifest, onePath, openPlace, PLACE_HELP, PLACE_OPTIONS } from './place.ts'
import { withdrawnNote } from './text.ts'

const EXIT_PROBLEMS = EXIT_INTERNAL_ERROR
/** As a shell tells of a process that Ctrl-C ended. */
const EXIT_INTERRUPTED = 130

export const HELP = `l2cap verify: proves what a directory or bucket of captured data holds, from the data alone.

Reads every manifest and object: sizes and hashes, rows, the exchange's chain of ids, the book rebuilt from its
changes, and coverage. What is missing is no problem, it is shown: the table says how long each stream was proven,
and how long it is missing. What was withdrawn (suspect) is missing too, unless another run proves it.

  l2cap verify PATH [--json]

  PATH      the directory that holds manifest/ and parquet/, or any directory above; or s3://bucket/prefix
  --json    {ok, checked, problems: [{kind, key, detail}], coverage: […]} on standard output

${PLACE_HELP}

Examples:
  l2cap verify ./data
  l2cap verify ./data --json | jq .problems
  l2cap verify s3://market-data/l2 --s3-endpoint https://minio.example:9000

A terminal shows how far it is. Ctrl-C ends it: then nothing is proven of what was not read.

Exit codes: 0 all that is there is right, 1 problems (or data that cannot be read), 2 wrong call, 130 interrupted.
`

export async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = readCall('l2cap verify', args, {
    json: { type: 'boolean' },
    ...PLACE_OPTIONS,
  })
  const path = onePath('verify', positionals, 'the directory or bucket of the data')
  const bucket = await openPlace(path, values)
  const [{ coverageTable, progressText, summary, verifyBucket }, { BucketError }] = await Promise.all([
    import('../verify/mod.ts'),
    import('../ship/mod.ts'),
  ])
  const interrupt = new AbortController()
  const onInterrupt = () => interrupt.abort()
  // once: who presses it a second time does not want to wait for the object at hand
  process.once('SIGINT', onInterrupt)
  const progress = new LiveLine(values.json === true ? undefined : process.stderr)
  let seen: VerifyProgress | undefined
  try {
    const report = await verifyBucket(
      countingKeys(bucket, (keys) => progress.show(() => listingText(keys))),
      {
        signal: interrupt.signal,
        onProgress: (now) => {
          seen = now
          progress.show(() => progressText(now))
        },
      },
    )
    progress.clear()
    if (report.checked.manifests === 0 && report.problems.length === 0) throw noManifest(path)
    if (values.json === true) process.stdout.write(`${JSON.stringify(report)}\n`)
    else {
      const note = withdrawnNote(report.coverage)
      const table = [...coverageTable(report.coverage), ...(note === '' ? [] : [note])].join('\n')
      process.stdout.write(`${table}\n\n${summary(report)}\n`)
    }
    return report.ok ? EXIT_DRAINED : EXIT_PROBLEMS
  } catch (error) {
    progress.clear()
    if (interrupt.signal.aborted && error === interrupt.signal.reason) {
      const far = seen === undefined ? 'before the first window was read' : `after ${progressText(seen)}`
      process.stderr.write(`l2cap: interrupted ${far}; of the rest nothing is known, so there is no report\n`)
      return EXIT_INTERRUPTED
    }
    if (!(error instanceof BucketError)) throw error
    if (error.class === 'configuration' || error.class === 'credential') throw new CallError(error.message)
    process.stderr.write(`l2cap: ${path} cannot be read to its end: ${error.message}\n`)
    return EXIT_PROBLEMS
  } finally {
    process.off('SIGINT', onInterrupt)
  }
}
