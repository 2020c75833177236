import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { setTimeout as moment } from 'node:timers/promises'
import { DIES_WITH_US } from '../support/children.ts'

const ENDS_WITHIN_MS = 5_000
const POLL_MS = 50

/** One program of a control plane: its log is a file, and it is killed with the process that started it. */
export class Child {
  readonly name: string
  readonly #log: string
  #process: ChildProcess | undefined

  constructor(name: string, logPath: string) {
    this.name = name
    this.#log = logPath
  }

  get pid(): number {
    const pid = this.#process?.pid
    if (pid === undefined) throw new Error(`${this.name} does not run`)
    return pid
  }

  get isRunning(): boolean {
    const child = this.#process
    return child?.pid !== undefined && child.exitCode === null && child.signalCode === null
  }

  /** Empty where it has not been started. */
  get log(): string {
    return existsSync(this.#log) ? readFileSync(this.#log, 'utf8') : ''
  }

  /**
   * Starts it and waits until `ready` says so. Returns false where it ended before that, which is what a port
   * that is taken looks like. Throws at the deadline, with the end of its log.
   */
  async start(binary: string, args: readonly string[], ready: () => Promise<boolean>, deadlineMs: number) {
    if (this.isRunning) throw new Error(`${this.name} runs already`)
    const [command = binary, ...before] = DIES_WITH_US
    const log = openSync(this.#log, 'a')
    const child = spawn(command, before.length === 0 ? args : [...before, binary, ...args], {
      env: { PATH: process.env['PATH'] },
      stdio: ['ignore', log, log],
    })
    closeSync(log)
    this.#process = child
    // whatever is left running must not keep a test from its end
    child.unref()
    // one that could not be started has no pid, which is seen below
    child.once('error', () => undefined)
    const end = performance.now() + deadlineMs
    while (this.isRunning) {
      if (await ready()) return true
      if (performance.now() > end) {
        await this.end('SIGKILL')
        throw new Error(`${this.name} was not ready after ${deadlineMs / 1000} s:\n${this.log.slice(-2000)}`)
      }
      await moment(POLL_MS)
    }
    return false
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal)
  }

  /** Ends it, by force where it takes too long. Nothing where it does not run. */
  async end(signal: NodeJS.Signals, withinMs = ENDS_WITHIN_MS): Promise<void> {
    const child = this.#process
    if (child === undefined || !this.isRunning) return
    const ended = once(child, 'exit')
    child.kill(signal)
    // a paused process takes no other signal before it goes on
    child.kill('SIGCONT')
    const late = setTimeout(() => child.kill('SIGKILL'), withinMs)
    await ended
    clearTimeout(late)
  }

  /** Kills it without waiting. */
  killNow(): void {
    this.#process?.kill('SIGKILL')
  }
}
