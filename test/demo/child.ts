/** Child processes of the demo: their lines, their end, and that none is left behind. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))
/** In order takes well under a second here; what takes this long hangs. */
const STOP_MS = 120_000

export class Child {
  readonly #process: ChildProcess
  readonly #ended: Promise<number>
  #stderr = ''

  /** Runs a program of this project; `onLine` gets its standard output line by line. */
  constructor(program: string, args: readonly string[], onLine: (line: string) => void) {
    // the channel: what we start ends with us, however we end; a group of its own: a terminal's Ctrl-C is for us
    // alone, and the capture ends before its exchange
    const child = spawn(process.execPath, [`${ROOT}${program}`, ...args], {
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe', 'ipc'],
    })
    this.#process = child
    child.stdin?.on('error', () => {}) // it has ended, which `ended` tells
    if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', onLine)
    child.stderr?.on('data', (data: Buffer) => {
      this.#stderr += data.toString()
    })
    this.#ended = new Promise((resolve) => {
      child.once('error', (error) => {
        this.#stderr += error.message
        resolve(1)
      })
      child.once('close', (code) => resolve(code ?? 1))
    })
  }

  /** Exit code; 1 where a signal ended it. */
  get ended(): Promise<number> {
    return this.#ended
  }

  get stderr(): string {
    return this.#stderr
  }

  /** To its standard input. */
  write(text: string): void {
    this.#process.stdin?.write(text)
  }

  /** Tells it to end in order, and ends it by force where it does not. */
  async stop(): Promise<number> {
    this.#process.kill('SIGTERM')
    const force = setTimeout(() => this.#process.kill('SIGKILL'), STOP_MS)
    const code = await this.#ended
    clearTimeout(force)
    return code
  }
}

/** Runs a program to its end; its standard output comes back with its exit code. */
export async function runToEnd(
  program: string,
  args: readonly string[],
): Promise<{ code: number; lines: string[] }> {
  const lines: string[] = []
  const child = new Child(program, args, (line) => lines.push(line))
  const code = await child.ended
  if (child.stderr !== '') lines.push(...child.stderr.trimEnd().split('\n'))
  return { code, lines }
}
