/** What the processes of a soak hold in memory over its time, and whether that stays flat. */
import type { V1Pod } from '@kubernetes/client-node'
import { nameOf } from '../e2e/captures.ts'

/** A process is not looked at before this: it compiles, and records its first windows. */
const WARM_MS = 45_000
/** Samples that a process must have in each half, or nothing can be said of it. */
const SAMPLES_MIN = 3

interface Sample {
  readonly atMs: number
  readonly bytes: number
}

/** What was seen of one process over both halves of its time, in bytes. */
export interface Held {
  readonly process: string
  readonly first: number
  readonly second: number
}

export class Memory {
  readonly #samples = new Map<string, Sample[]>()
  /** Scrapes that failed: of a pod that is going, or starting. */
  missed = 0

  /** Looks at all of them once; `read` gives what a pod says on /metrics. Never throws: what failed is counted. */
  async sample(pods: () => Promise<readonly V1Pod[]>, read: (pod: string) => Promise<string>): Promise<void> {
    const atMs = performance.now()
    const all = await pods().catch(() => undefined)
    if (all === undefined) this.missed++
    await Promise.all((all ?? []).map((pod) => this.#look(pod, atMs, read)))
  }

  async #look(pod: V1Pod, atMs: number, read: (pod: string) => Promise<string>): Promise<void> {
    try {
      const bytes = residentBytes(await read(nameOf(pod)))
      // a restart in place is another process
      const name = `${nameOf(pod)}/${pod.status?.containerStatuses?.[0]?.restartCount ?? 0}`
      const samples = this.#samples.get(name) ?? []
      this.#samples.set(name, [...samples, { atMs, bytes }])
    } catch {
      this.missed++
    }
  }

  /** Medians of both halves, of every process that lived long enough to have them. */
  held(): Held[] {
    return [...this.#samples].flatMap(([process, samples]) => {
      const begin = samples[0]?.atMs ?? 0
      const warm = samples.filter(({ atMs }) => atMs >= begin + WARM_MS)
      const middle = ((warm[0]?.atMs ?? 0) + (warm.at(-1)?.atMs ?? 0)) / 2
      const halves = [warm.filter(({ atMs }) => atMs < middle), warm.filter(({ atMs }) => atMs >= middle)]
      if (halves.some((half) => half.length < SAMPLES_MIN)) return []
      const [first = 0, second = 0] = halves.map((half) => median(half.map(({ bytes }) => bytes)))
      return [{ process, first, second }]
    })
  }
}

function residentBytes(metrics: string): number {
  const bytes = Number(/^process_resident_memory_bytes(?:\{.*\})? (\S+)$/m.exec(metrics)?.[1])
  if (!(bytes > 0)) throw new Error('no process_resident_memory_bytes')
  return bytes
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}
