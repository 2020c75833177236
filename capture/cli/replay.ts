/** `l2cap replay`: journal segments through the recorder once more, into a directory of its own. */
import { EXIT_DRAINED, EXIT_INTERNAL_ERROR } from '../../api/reasons.ts'
import { CallError, readCall } from './call.ts'
import { requireFile } from './place.ts'

export const HELP = `l2cap replay: records journal segments again and lays the result down as a capture would.

A segment holds every input of a window as it was received. Replay runs them through the same code as the live
capture and writes Parquet and a manifest under their usual keys below DIR; the same version gives the same bytes.
The segments are read only.

  l2cap replay SEGMENT… --out DIR

  SEGMENT   a .journal file, of a spool's journal/ or quarantine/
  --out DIR where the data goes; objects that are there must be equal, nothing is written over

Example:
  l2cap replay spool/BinanceUsdm/BTCUSDT/quarantine/*.journal --out ./replayed
  l2cap verify ./replayed

Exit codes: 0 all recorded, 1 a segment is empty, does not replay to its own end, or differs from what DIR holds,
2 wrong call.
`

export async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = readCall('l2cap replay', args, { out: { type: 'string' } })
  if (positionals.length === 0) throw new CallError('l2cap replay needs a segment; see l2cap replay --help')
  if (values.out === undefined)
    throw new CallError('--out is missing; give the directory that the data goes to')
  for (const path of positionals) await requireFile(path)
  const { Replayer } = await import('./replayer.ts')
  const replayer = await Replayer.into(values.out)
  let exitCode = EXIT_DRAINED
  for (const path of positionals) {
    const { ok, lines } = await replayer.replay(path)
    if (!ok) exitCode = EXIT_INTERNAL_ERROR
    const to = ok ? process.stdout : process.stderr
    to.write(`${lines.join('\n')}\n`)
  }
  return exitCode
}
