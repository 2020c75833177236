/** Repeats, medians and their spread. */

/** Several measurements of one thing. */
export interface Sample {
  readonly median: number
  readonly min: number
  readonly max: number
  readonly repeats: number
}

export function sampleOf(values: readonly number[]): Sample {
  const sorted = [...values].sort((x, y) => x - y)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  return { median, min: sorted[0], max: sorted[sorted.length - 1], repeats: sorted.length }
}

/** CPU microseconds of this process, all of its threads (the collector's too) included. */
function cpuUs(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}

/** Something to measure: `run` does its work once and gives the number of events that it handled. */
export interface Subject {
  /** Repeats that count; a slow baseline needs fewer. */
  readonly repeats: number
  run(): number
}

/**
 * CPU microseconds an event of each subject. Subjects take turns, so that a machine that changes its pace changes
 * it for all; each runs once more before, for the compiler.
 */
export function measure(subjects: readonly Subject[]): Sample[] {
  const values = subjects.map((): number[] => [])
  for (const { run, repeats } of subjects) if (repeats > 0) run()
  const rounds = Math.max(...subjects.map(({ repeats }) => repeats))
  for (let round = 0; round < rounds; round++) {
    for (const [i, { run, repeats }] of subjects.entries()) {
      if (round >= repeats) continue
      const before = cpuUs()
      const events = run()
      values[i].push((cpuUs() - before) / events)
    }
  }
  return values.map(sampleOf)
}
