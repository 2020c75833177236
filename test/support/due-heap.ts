/** What clocks that are moved by hand keep their calls in. */

/** Something that falls due at a moment, of whatever unit; of equal moments the one with the lower order is first. */
export interface Due {
  readonly due: number
  readonly order: number
}

/** A binary heap: nothing is due before its parent, so that the next one is always at hand. */
export class DueHeap<T extends Due> {
  readonly #heap: T[] = []

  /** What is due next, undefined where nothing waits. */
  get next(): T | undefined {
    return this.#heap[0]
  }

  push(one: T): void {
    const heap = this.#heap
    let at = heap.push(one) - 1
    while (at > 0) {
      const above = (at - 1) >> 1
      if (isBefore(heap[above], one)) break
      heap[at] = heap[above]
      at = above
    }
    heap[at] = one
  }

  /** Takes out what is due next. */
  pop(): T | undefined {
    const heap = this.#heap
    const [first] = heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return last
    let at = 0
    for (;;) {
      let below = 2 * at + 1
      if (below >= heap.length) break
      if (below + 1 < heap.length && isBefore(heap[below + 1], heap[below])) below++
      if (isBefore(last, heap[below])) break
      heap[at] = heap[below]
      at = below
    }
    heap[at] = last
    return first
  }
}

function isBefore(one: Due, other: Due): boolean {
  return one.due === other.due ? one.order < other.order : one.due < other.due
}
