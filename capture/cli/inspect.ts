/** `l2cap inspect`: what a file is and what it holds. */
import { EXIT_DRAINED, EXIT_INTERNAL_ERROR } from '../../api/reasons.ts'
import { readCall } from './call.ts'
import { onePath, requireFile } from './place.ts'

export const HELP = `l2cap inspect: looks into one file and says what it is, what it holds and whether it is whole.

  l2cap inspect FILE

  FILE      a Parquet object, a manifest, or a journal segment (.journal)

Examples:
  l2cap inspect spool/BinanceUsdm/BTCUSDT/journal/*-000000.journal
  l2cap inspect data/manifest/exchange=BinanceUsdm/symbol=BTCUSDT/date=2026-11-22/*-000000.json

Exit codes: 0 done, 1 the file is none of ours or cannot be trusted, 2 wrong call.
`

export async function run(args: readonly string[]): Promise<number> {
  const { positionals } = readCall('l2cap inspect', args, {})
  const path = onePath('inspect', positionals, 'a file')
  await requireFile(path)
  const { InspectError, inspectFile, inspectionOf } = await import('../inspect/mod.ts')
  try {
    const found = await inspectionOf(path)
    process.stdout.write(`${(await inspectFile(path)).join('\n')}\n`)
    const isSound = found.kind === 'manifest' ? found.intact : found.kind !== 'unknown'
    return isSound ? EXIT_DRAINED : EXIT_INTERNAL_ERROR
  } catch (error) {
    if (!(error instanceof InspectError)) throw error
    process.stderr.write(`l2cap: ${error.message}\n`)
    return EXIT_INTERNAL_ERROR
  }
}
