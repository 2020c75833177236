/**
 * A copy of the sources in which mutations are made, one after the other, and the named tests run against each. The
 * copy shares the installed packages and the recordings.
 */
import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Mutation } from './mutation.ts'

const ROOT = resolve(import.meta.dirname, '../..')
/** What tests read besides their own files: the pages that docs tests judge, and what the packages are found by. */
const COPIED = [
  'api',
  'capture',
  'operator',
  'docs',
  'test',
  'package.json',
  'tsconfig.json',
  'README.md',
  'LICENSE',
]
/** Tests of one file as they are. */
const BASELINE_MS_MAX = 600_000
/** A mutant that makes its test hang is caught as well: after this, and three times what the file takes unbroken. */
const MUTANT_MS = 15_000
const OUTPUT_SHOWN = 2000

/** How one test came out: `absent` where no test of that name ran, `hung` where it had to be killed. */
type Result = 'passed' | 'failed' | 'absent' | 'hung'

interface TestRun {
  readonly results: ReadonlyMap<string, Result>
  readonly output: string
  readonly ms: number
}

/** The named tests of a file before anything is broken. */
export interface Baseline {
  /** By name: empty where it passes, else what is wrong with naming it. */
  readonly faults: ReadonlyMap<string, string>
  readonly ms: number
}

/** A working copy. Made by `make`; `remove` takes it away. */
export class Copy {
  readonly #dir: string

  private constructor(dir: string) {
    this.#dir = dir
  }

  static make(): Copy {
    const copy = new Copy(mkdtempSync(join(tmpdir(), 'l2cap-mutant-')))
    for (const name of COPIED) cpSync(join(ROOT, name), join(copy.#dir, name), { recursive: true })
    symlinkSync(join(ROOT, 'node_modules'), join(copy.#dir, 'node_modules'))
    return copy
  }

  remove(): void {
    rmSync(this.#dir, { recursive: true, force: true })
  }

  /** Runs the named tests of one file as they are. */
  async baseline(file: string, names: readonly string[]): Promise<Baseline> {
    const { results, output, ms } = await this.#run(file, names, BASELINE_MS_MAX)
    const faults = new Map(
      names.map((name) => [name, faultOf(file, name, results.get(name) ?? 'absent', output)]),
    )
    return { faults, ms }
  }

  /**
   * Makes the mutation, runs its test, and takes the mutation back. Empty where the test noticed. `baselineMs`: what
   * the unbroken tests of its file took.
   */
  async judge({ file, find, replace, test }: Mutation, baselineMs: number): Promise<string> {
    const path = join(this.#dir, file)
    const sound = readFileSync(path, 'utf8')
    const found = sound.split(find).length - 1
    if (found !== 1) return `OUT OF DATE: its text occurs ${found} times in ${file}, not once`
    writeFileSync(
      path,
      sound.replace(find, () => replace),
    )
    try {
      const { results, output } = await this.#run(test.file, [test.name], MUTANT_MS + 3 * baselineMs)
      switch (results.get(test.name) ?? 'absent') {
        case 'failed':
        case 'hung':
          return ''
        case 'passed':
          return 'SURVIVED: its test passes although the guard is gone'
        case 'absent':
          // a mutant that cannot even be loaded proves nothing about the test
          return `BROKEN: its test did not run:\n${output.slice(-OUTPUT_SHOWN)}`
      }
    } finally {
      writeFileSync(path, sound)
    }
  }

  async #run(file: string, names: readonly string[], msMax: number): Promise<TestRun> {
    const started = performance.now()
    const patterns = names.map((name) => `--test-name-pattern=/^${escaped(name)}$/`)
    // the file itself and not `--test`: one process less for each run
    const child = spawn(process.execPath, ['--test-reporter=tap', ...patterns, file], {
      cwd: this.#dir,
      stdio: ['ignore', 'pipe', 'pipe'],
      // a group of its own: what hangs may have started captures
      detached: true,
      env: {
        ...process.env,
        // a test that runs under this one must not report to it
        NODE_TEST_CONTEXT: undefined,
        L2CAP_RECORDINGS: process.env['L2CAP_RECORDINGS'] || join(ROOT, '../shared/recordings'),
      },
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString()
      })
    }
    let hung = false
    const kill = () => killGroup(child.pid)
    const timer = setTimeout(() => {
      hung = true
      kill()
    }, msMax)
    process.once('exit', kill)
    await new Promise((done) => child.once('close', done))
    clearTimeout(timer)
    process.off('exit', kill)
    return { results: resultsOf(output, names, hung), output, ms: performance.now() - started }
  }
}

/** Ends a run with all that it started. */
function killGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    // it has just ended by itself
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

/** What TAP says of the named tests; one that failed anywhere failed. */
function resultsOf(output: string, names: readonly string[], hung: boolean): Map<string, Result> {
  const results = new Map<string, Result>()
  for (const [, word, text] of output.matchAll(/^ *(ok|not ok) \d+ - (.*)$/gm)) {
    // a test that was skipped says nothing
    if (/ # (SKIP|TODO)/.test(text)) continue
    const name = names.find((candidate) => tapOf(candidate) === text)
    if (name === undefined || results.get(name) === 'failed') continue
    results.set(name, word === 'ok' ? 'passed' : 'failed')
  }
  for (const name of names) if (hung && !results.has(name)) results.set(name, 'hung')
  return results
}

function faultOf(file: string, name: string, result: Result, output: string): string {
  switch (result) {
    case 'passed':
      return ''
    case 'absent':
      return `OUT OF DATE: no test of ${file} is named "${name}", or it was skipped`
    case 'failed':
    case 'hung':
      return `its test ${result} without the mutation:\n${output.slice(-OUTPUT_SHOWN)}`
  }
}

/** As TAP spells a name. */
function tapOf(name: string): string {
  return name.replaceAll('\\', '\\\\').replaceAll('#', '\\#')
}

function escaped(name: string): string {
  return name.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')
}
