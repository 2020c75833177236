/** A first estimate is told after so long. */
const FIRST_AFTER_MS = 10_000

interface Sample {
  readonly atMs: number
  readonly bytes: number
}

/**
 * How soon something is full that grows in steps: each window's segment grows, then Parquet of a third of its size
 * takes its place. The rate is taken between two moments of like phase, some rotations apart; over less at first.
 */
export class FillRate {
  readonly #overMs: number
  #samples: readonly Sample[] = []

  /** `overMs`: whole rotations. */
  constructor(overMs: number) {
    this.#overMs = overMs
  }

  /** So many bytes are held now; to be told every ten seconds or so. Milliseconds that never run backwards. */
  take(atMs: number, bytes: number): void {
    const kept = this.#samples.filter((sample) => atMs - sample.atMs <= this.#overMs)
    this.#samples = [...kept, { atMs, bytes }]
  }

  /** Seconds until so many bytes more are held; infinite while nothing grows, or nothing is known yet. */
  secondsUntil(leftBytes: number): number {
    if (leftBytes <= 0) return 0
    const first = this.#samples.at(0)
    const last = this.#samples.at(-1)
    if (first === undefined || last === undefined || last.atMs - first.atMs < FIRST_AFTER_MS) {
      return Number.POSITIVE_INFINITY
    }
    const bytesPerMs = (last.bytes - first.bytes) / (last.atMs - first.atMs)
    return bytesPerMs > 0 ? leftBytes / bytesPerMs / 1000 : Number.POSITIVE_INFINITY
  }
}
