/** `kubectl port-forward` to a Service: its pod has a port of this machine for a while. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { programPath } from '../cluster/mod.ts'
import { waitFor } from '../support/wait.ts'
import type { Target } from './target.ts'

export class Forward {
  readonly port: number
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.port = port
  }

  /** Resolves when connections are taken. */
  static async open({ kubeconfig }: Target, namespace: string, what: string, port: number): Promise<Forward> {
    const args = ['--kubeconfig', kubeconfig, '--namespace', namespace, 'port-forward', what, `:${port}`]
    const child = spawn(programPath('kubectl'), args)
    let said = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8')
      stream.on('data', (text: string) => {
        said += text
      })
    }
    try {
      const own = await waitFor(
        `kubectl ${args.join(' ')}`,
        () => /Forwarding from 127\.0\.0\.1:(\d+)/.exec(said)?.[1],
        { show: () => said },
      )
      return new Forward(child, Number(own))
    } catch (error) {
      child.kill('SIGKILL')
      throw error
    }
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.kill('SIGKILL')
    await once(this.#child, 'exit')
  }
}
