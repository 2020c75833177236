import { writeFile } from 'node:fs/promises'
import type { V1Container, V1Pod } from '@kubernetes/client-node'
import type { Container, Ended, Runtime } from './container.ts'
import type { PodPlace } from './place.ts'

const DRAIN = 'l2cap.dev/drain'
const SYMBOL = 'l2cap.dev/symbol'
/** Of a process that SIGKILL ended. */
const EXIT_KILLED = 137

/** What a process says of its end, as far as the operator reads it. */
interface LastWords {
  readonly reason: string
  readonly exitCode: number
}

/** What a test knows of one pod's container, over all of its restarts. */
interface Life {
  readonly uid: string
  halts: number
  running: { end(words: LastWords): Promise<void> } | undefined
}

/**
 * A container without a process, for thousands of pods: it is live after a moment, drains at once when it is told to
 * end or to drain, ships nothing, and halts when a test says so.
 */
export class HollowRuntime implements Runtime {
  readonly #liveAfterMs: number
  readonly #lives = new Map<string, Life>()
  readonly #broken = new Set<string>()

  constructor(liveAfterMs = 50) {
    this.#liveAfterMs = liveAfterMs
  }

  output(): string {
    return ''
  }

  /** The pod's container ends with the report of a halt. Throws where none runs. */
  async halt(pod: string, reason: string, exitCode: number): Promise<void> {
    const life = this.#lives.get(pod)
    if (life?.running === undefined) throw new Error(`no hollow container of ${pod} runs`)
    life.halts += 1
    await life.running.end({ reason, exitCode })
  }

  /** Whether a container of this pod runs now. */
  runs(pod: string): boolean {
    return this.#lives.get(pod)?.running !== undefined
  }

  /** Containers of this pod from now on, or of pods of this symbol that start from now on, run and are not live. */
  break(podOrSymbol: string): void {
    this.#broken.add(this.#lives.get(podOrSymbol)?.uid ?? podOrSymbol)
  }

  mend(podOrSymbol: string): void {
    this.#broken.delete(this.#lives.get(podOrSymbol)?.uid ?? podOrSymbol)
  }

  async start(pod: V1Pod, _container: V1Container, place: PodPlace): Promise<Container> {
    const name = pod.metadata?.name ?? ''
    const symbol = pod.metadata?.annotations?.[SYMBOL] ?? ''
    const life = this.#lifeOf(name, pod.metadata?.uid ?? '')
    const wasBroken = this.#broken.has(symbol)
    const broken = () => this.#broken.has(life.uid) || (wasBroken && this.#broken.has(symbol))
    const startedMs = performance.now()
    const startedAt = new Date().toISOString()
    const { promise, resolve } = Promise.withResolvers<Ended>()
    const finish = (exitCode: number) => {
      life.running = undefined
      const reason = exitCode === 0 ? 'Completed' : 'Error'
      resolve({ exitCode, reason, startedAt, finishedAt: new Date().toISOString() })
    }
    const end = async (words: LastWords) => {
      if (life.running === undefined) return
      life.running = undefined
      const report = JSON.stringify(reportOf(symbol, words, life.halts))
      // a pod that is removed meanwhile has no place left for last words, and nobody reads them
      await writeFile(place.terminationLog, report).catch(() => undefined)
      finish(words.exitCode)
    }
    const obey = async () => {
      const drain = place.projected[DRAIN]
      if (drain !== undefined)
        await end({ reason: drain === 'discard' ? 'Discarded' : 'Drained', exitCode: 0 })
    }
    life.running = { end }
    await obey()
    return {
      pid: undefined,
      startedAt,
      ended: promise,
      signal: (signal) => {
        if (signal === 'SIGKILL') finish(EXIT_KILLED)
        else if (signal === 'SIGTERM') void end({ reason: 'Drained', exitCode: 0 })
      },
      probe: async (path) => {
        await obey()
        if (path === '/livez') return true
        return !broken() && performance.now() - startedMs >= this.#liveAfterMs
      },
    }
  }

  /** A name may be given again: that is another pod. */
  #lifeOf(name: string, uid: string): Life {
    const known = this.#lives.get(name)
    if (known?.uid === uid) return known
    const life: Life = { uid, halts: 0, running: undefined }
    this.#lives.set(name, life)
    return life
  }
}

function reportOf(symbol: string, { reason, exitCode }: LastWords, halts: number): object {
  return {
    reason,
    message: 'hollow',
    symbol,
    run: '',
    at: new Date().toISOString(),
    exitCode,
    haltsInARow: exitCode === 0 ? 0 : halts,
    previous: null,
    unshippedBytes: 0,
    quarantinedBytes: 0,
  }
}
