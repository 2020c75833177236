/** `l2cap verify`: proves what a directory of captured data holds, from the data alone. */
import { EXIT_DRAINED, EXIT_INTERNAL_ERROR } from '../../api/reasons.ts'
import type { VerifyProgress } from '../verify/mod.ts'
import { CallError, readCall } from './call.ts'
import { noManifest, onePath, requireDirectory } from './place.ts'
import { withdrawnNote } from './text.ts'

const PROGRESS_EVERY_MS = 200
const EXIT_PROBLEMS = EXIT_INTERNAL_ERROR
/** As a shell tells of a process that Ctrl-C ended. */
const EXIT_INTERRUPTED = 130

export const HELP = `l2cap verify: proves what a directory of captured data holds, from the data alone.

Reads every manifest and object: sizes and hashes, rows, the exchange's chain of ids, the book rebuilt from its
changes, and coverage. What is missing is no problem, it is shown: the table says how long each stream was proven,
and how long it is missing. What was withdrawn (suspect) is missing too, unless another run proves it.

  l2cap verify PATH [--json]

  PATH      the directory that holds manifest/ and parquet/, or any directory above
  --json    {ok, checked, problems: [{kind, key, detail}], coverage: […]} on standard output

Examples:
  l2cap verify ./data
  l2cap verify ./data --json | jq .problems

A terminal shows how far it is. Ctrl-C ends it: then nothing is proven of what was not read.

Exit codes: 0 all that is there is right, 1 problems (or data that cannot be read), 2 wrong call, 130 interrupted.
`

export async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = readCall('l2cap verify', args, { json: { type: 'boolean' } })
  const path = onePath('verify', positionals, 'the directory of the data')
  await requireDirectory(path)
  const [{ coverageTable, progressText, summary, verifyBucket }, { BucketError, LocalBucket }] =
    await Promise.all([import('../verify/mod.ts'), import('../ship/mod.ts')])
  const interrupt = new AbortController()
  const onInterrupt = () => interrupt.abort()
  // once: who presses it a second time does not want to wait for the object at hand
  process.once('SIGINT', onInterrupt)
  const progress = new LiveLine(values.json === true ? undefined : process.stderr)
  let seen: VerifyProgress | undefined
  try {
    const report = await verifyBucket(new LocalBucket(path), {
      signal: interrupt.signal,
      onProgress: (now) => {
        seen = now
        progress.show(() => progressText(now))
      },
    })
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
    if (error.class === 'configuration') throw new CallError(error.message)
    process.stderr.write(`l2cap: ${path} cannot be read to its end: ${error.message}\n`)
    return EXIT_PROBLEMS
  } finally {
    process.off('SIGINT', onInterrupt)
  }
}

/** A terminal, as far as a live line needs one. */
export interface LiveOutput {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

/** One line that is written over, where a person watches; nothing where nobody does. */
export class LiveLine {
  readonly #output: LiveOutput | undefined
  readonly #nowMs: () => number
  #lastMs = Number.NEGATIVE_INFINITY

  constructor(output: LiveOutput | undefined, nowMs = () => performance.now()) {
    this.#output = output?.isTTY === true ? output : undefined
    this.#nowMs = nowMs
  }

  show(text: () => string): void {
    const nowMs = this.#nowMs()
    if (this.#output === undefined || nowMs - this.#lastMs < PROGRESS_EVERY_MS) return
    this.#lastMs = nowMs
    // a line that wraps cannot be written over
    const columns = this.#output.columns || Number.POSITIVE_INFINITY
    this.#output.write(`\r\x1b[K${text().slice(0, columns - 1)}`)
  }

  clear(): void {
    if (this.#lastMs !== Number.NEGATIVE_INFINITY) this.#output?.write('\r\x1b[K')
  }
}
