/** Seeded randomness: the same seed and name give the same numbers on every machine. */
export class Random {
  #state: number

  /** `name` separates the sequences that share a seed, such as symbols. */
  constructor(seed: number, name: string) {
    // FNV-1a over the name, so that neighbouring seeds and similar names start far apart.
    let hash = (2166136261 ^ seed) >>> 0
    for (const character of `${name}/${seed}`) {
      hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 16777619) >>> 0
    }
    this.#state = hash
  }

  /** Uniform in [0, 1), 32 bits (a Weyl sequence through a bit mixer). */
  next(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32
  }

  /** A whole number in [0, below). */
  below(below: number): number {
    return Math.floor(this.next() * below)
  }

  /** Exponential with this mean: gaps between events, distances from the touch. */
  exponential(mean: number): number {
    return -Math.log(1 - this.next()) * mean
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }
}
