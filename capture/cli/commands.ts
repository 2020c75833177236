/** The commands by name. What each does in one line is kept here, so that the overview loads none of them. */

export interface Command {
  /** What `--help` prints. */
  readonly HELP: string
  /** Carries the call out and gives the exit code. Throws CallError for a wrong call. */
  readonly run: (args: readonly string[]) => Promise<number>
}

interface Entry {
  readonly about: string
  readonly load: () => Promise<Command>
}

export const COMMANDS: ReadonlyMap<string, Entry> = new Map([
  ['run', { about: 'capture order books into a directory or bucket', load: () => import('./run.ts') }],
  [
    'verify',
    { about: 'prove what a directory or bucket of captured data holds', load: () => import('./verify.ts') },
  ],
  ['ls', { about: 'show what is covered and what is missing', load: () => import('./ls.ts') }],
  [
    'inspect',
    { about: 'look into one file: Parquet, manifest or journal', load: () => import('./inspect.ts') },
  ],
  [
    'status',
    { about: 'show how the captures of a cluster fare, symbol by symbol', load: () => import('./status.ts') },
  ],
  ['replay', { about: 'record journal segments again', load: () => import('./replay.ts') }],
])

/** What `l2cap --help` prints. */
export function overview(): string {
  const lines = [...COMMANDS].map(([name, { about }]) => `  l2cap ${name.padEnd(9)} ${about}`)
  return `l2cap captures order books and only records what it can prove.

${lines.join('\n')}

  l2cap COMMAND --help   options and examples of a command
  l2cap --version

Try it:
  l2cap run --exchange BinanceUsdm --symbols BTCUSDT --duration 60s
  l2cap verify ./data
`
}
