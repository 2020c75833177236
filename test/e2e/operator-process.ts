import { type ChildProcess, spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { DIES_WITH_US } from '../support/children.ts'
import { waitFor } from '../support/wait.ts'

/** So long the machine may stall, and a leader goes on; one that is killed is waited for as long. */
const LEASE_SECONDS = 60
/** Longer than the operator itself takes at most: four times 10 s. */
const STOPS_WITHIN_MS = 120_000
/** Also where a leader was killed, and its lease has to run out. */
const LEADS_WITHIN_MS = LEASE_SECONDS * 1000 + 180_000

const MAIN = resolve(import.meta.dirname, '../../operator/main.ts')

export interface OperatorArguments {
  readonly settings: string
  readonly kubeconfig: string
  readonly namespace: string
  readonly identity: string
  /** Further ones. */
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

/** A real operator process on the API server of a test. */
export class OperatorProcess {
  output = ''
  readonly child: ChildProcess
  readonly exit: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>

  constructor({ settings, kubeconfig, namespace, identity, args, env }: OperatorArguments) {
    const [command = process.execPath, ...before] = DIES_WITH_US
    const own = [
      MAIN,
      ...['--settings', settings, '--kubeconfig', kubeconfig, '--namespace', namespace],
      ...['--lease-namespace', namespace, '--identity', identity, '--host', '127.0.0.1', '--port', '0'],
      ...['--lease-seconds', String(LEASE_SECONDS), ...args],
    ]
    this.child = spawn(command, before.length === 0 ? own : [...before, process.execPath, ...own], {
      env: { PATH: process.env['PATH'], L2CAP_LOG_LEVEL: 'info', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const keep = (text: string) => {
      this.output += text
    }
    this.child.stdout?.setEncoding('utf8').on('data', keep)
    this.child.stderr?.setEncoding('utf8').on('data', keep)
    const ended = Promise.withResolvers<{ code: number | null; signal: NodeJS.Signals | null }>()
    this.child.once('exit', (code, signal) => ended.resolve({ code, signal }))
    this.exit = ended.promise
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null
  }

  /** Whole lines of its log, as objects. */
  get lines(): Record<string, unknown>[] {
    return this.output
      .slice(0, this.output.lastIndexOf('\n') + 1)
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line))
  }

  /** Its port, as its first line tells it. */
  async address(): Promise<string> {
    const port = await waitFor(
      'the port of the operator',
      () => this.lines.find((line) => 'port' in line)?.['port'],
      {
        show: () => this.output.slice(-3000),
      },
    )
    return `http://127.0.0.1:${port}`
  }

  async leads(): Promise<void> {
    await waitFor('the operator to lead', () => this.output.includes('this replica leads'), {
      deadlineMs: LEADS_WITHIN_MS,
      show: () => this.output.slice(-3000),
    })
  }

  async metrics(): Promise<string> {
    return await (await fetch(`${await this.address()}/metrics`)).text()
  }

  /** Looks at captures that it has ended, whatever came of them. */
  async looks(): Promise<number> {
    const lines = (await this.metrics()).matchAll(/^controller_runtime_reconcile_total\{.*\} (\d+)$/gm)
    return [...lines].reduce((sum, [, count]) => sum + Number(count), 0)
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal)
  }

  async stop(): Promise<number | null> {
    this.child.kill('SIGTERM')
    const late = setTimeout(() => this.child.kill('SIGKILL'), STOPS_WITHIN_MS)
    const { code } = await this.exit
    clearTimeout(late)
    return code
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL')
    this.child.kill('SIGCONT')
    await this.exit
  }
}
