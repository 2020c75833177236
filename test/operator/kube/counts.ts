import type { Meter } from '../../../operator/kube/mod.ts'

/** A meter to ask: `of('workqueue_adds_total', 'adds')` sums the samples whose labels hold all those values. */
export class Counts implements Meter {
  readonly #counted: { readonly name: string; readonly values: readonly string[]; readonly by: number }[] = []
  readonly #observed: { readonly name: string; readonly seconds: number }[] = []

  count(name: string, labels: Readonly<Record<string, string>>, by = 1): void {
    this.#counted.push({ name, values: Object.values(labels), by })
  }

  observe(name: string, _labels: Readonly<Record<string, string>>, seconds: number): void {
    this.#observed.push({ name, seconds })
  }

  of(name: string, ...values: readonly string[]): number {
    return this.#counted
      .filter((one) => one.name === name && values.every((value) => one.values.includes(value)))
      .reduce((sum, one) => sum + one.by, 0)
  }

  observed(name: string): number[] {
    return this.#observed.filter((one) => one.name === name).map((one) => one.seconds)
  }
}
