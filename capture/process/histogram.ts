/** Counts observations by upper bounds, as monitoring systems read them. Cheap enough for every row. */
export class Histogram {
  /** Ascending upper bounds; what is above the last counts in `count` alone. */
  readonly bounds: readonly number[]
  /** Observations at or below each bound and above the one before it. */
  readonly counts: number[]
  sum = 0
  count = 0

  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.counts = bounds.map(() => 0)
  }

  observe(value: number): void {
    this.sum += value
    this.count++
    for (let i = 0; i < this.bounds.length; i++) {
      if (value > this.bounds[i]) continue
      this.counts[i]++
      return
    }
  }
}
