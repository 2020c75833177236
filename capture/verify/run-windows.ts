/** Which windows of a run have a manifest. Grows with the number of holes, not with the number of windows. */

/** Windows that are not there: from `window` up to, not including, `before`. */
export interface Hole {
  window: number
  before: number
  /** Somewhere in its day: of the window after it until an object says better. Microseconds since the epoch. */
  openedUs: number
}

export class RunWindows {
  readonly #holes: Hole[] = []
  #next = 0

  get holes(): readonly Hole[] {
    return this.#holes
  }

  /** Takes a window; true where it follows the one that was taken before it. */
  take(window: number, openedUs: number): boolean {
    const follows = window === this.#next
    if (window > this.#next) this.#holes.push({ window: this.#next, before: window, openedUs })
    if (window < this.#next) this.#fill(window)
    else this.#next = window + 1
    return follows
  }

  /** The hole that a window lies in. */
  holeAt(window: number): Hole | undefined {
    return this.#holes[this.#indexAt(window)]
  }

  /** Has the window a manifest? */
  has(window: number): boolean {
    return window < this.#next && this.holeAt(window) === undefined
  }

  /** A window that came late: keys need not be in the order of windows where somebody moved them. */
  #fill(window: number): void {
    const at = this.#indexAt(window)
    const hole = this.#holes[at]
    if (hole === undefined) return
    const parts = [
      { ...hole, before: window },
      { ...hole, window: window + 1 },
    ]
    this.#holes.splice(at, 1, ...parts.filter((part) => part.window < part.before))
  }

  /** Where the hole that a window lies in is; −1 where it lies in none. Holes ascend: objects ask for each of theirs. */
  #indexAt(window: number): number {
    let low = 0
    let high = this.#holes.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const hole = this.#holes[middle]
      if (hole === undefined || window < hole.window) high = middle
      else if (window >= hole.before) low = middle + 1
      else return middle
    }
    return -1
  }
}
