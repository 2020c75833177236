import { execFile } from 'node:child_process'
import { resolve } from 'node:path'

const CLI = resolve(import.meta.dirname, '../../capture/cli.ts')
const ENDS_WITHIN_MS = 600_000
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024

/** Runs the command line to its end, with this environment besides ours. */
export async function runL2cap(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  const { promise, resolve: ended } = Promise.withResolvers<{
    code: number
    stdout: string
    stderr: string
  }>()
  const options = {
    env: { ...process.env, ...env },
    timeout: ENDS_WITHIN_MS,
    killSignal: 'SIGKILL',
    maxBuffer: OUTPUT_BYTES_MAX,
  } as const
  execFile(process.execPath, [CLI, ...args], options, (error, stdout, stderr) => {
    // one that was killed has no code
    const code = error === null ? 0 : Number(error.code ?? -1)
    ended({ code, stdout, stderr })
  })
  return await promise
}
