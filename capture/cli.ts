/**
 * `l2cap`: the command line. Each command is a file of `cli/`, loaded when it is called, so that help and mistakes
 * answer at once. Exit codes: 0 done, 1 the command's own bad news, 2 a wrong call.
 */
import { EXIT_INTERNAL_ERROR, EXIT_WRONG_CALL } from '../api/reasons.ts'
import { CallError, suggestion } from './cli/call.ts'
import { COMMANDS, overview } from './cli/commands.ts'

async function main(argv: readonly string[]): Promise<number> {
  const [name, ...args] = argv
  if (name === undefined) {
    process.stderr.write(overview())
    return EXIT_WRONG_CALL
  }
  if (name === '--help' || name === '-h' || name === 'help') return await help(args[0])
  if (name === '--version' || name === '-V') {
    const { VERSION } = await import('./version.ts')
    process.stdout.write(`${VERSION}\n`)
    return 0
  }
  const command = await commandOf(name)
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(command.HELP)
    return 0
  }
  return await command.run(args)
}

async function help(name: string | undefined): Promise<number> {
  process.stdout.write(name === undefined ? overview() : (await commandOf(name)).HELP)
  return 0
}

async function commandOf(name: string) {
  const command = COMMANDS.get(name)
  if (command !== undefined) return await command.load()
  const what = name.startsWith('-') ? 'option' : 'command'
  const known = what === 'option' ? ['--help', '--version'] : [...COMMANDS.keys()]
  throw new CallError(`there is no ${what} "${name}"${suggestion(name, known)}; see l2cap --help`)
}

// a reader that has seen enough (`l2cap ls … | head`) is no error; a command that must go on anyway says so itself
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})

main(process.argv.slice(2)).then(
  (exitCode) => exit(exitCode),
  (error: unknown) => {
    const isCallError = error instanceof CallError
    const text = isCallError
      ? error.message
      : error instanceof Error
        ? (error.stack ?? error.message)
        : String(error)
    process.stderr.write(`l2cap: ${text}\n`)
    exit(isCallError ? EXIT_WRONG_CALL : EXIT_INTERNAL_ERROR)
  },
)

/** Ends when what was written is out: a pipe may still hold part of it. */
function exit(exitCode: number): void {
  process.stdout.write('', () => process.exit(exitCode))
}
