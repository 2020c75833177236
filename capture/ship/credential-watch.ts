/**
 * Looks for other credentials while those that are used are refused: whoever corrects a Secret should not wait for the
 * next try, which may be minutes away, and the store should not be asked more often for that.
 */
import type { ShipTimers } from './world.ts'

/** A look is three small files. The kubelet takes up to a minute to bring a Secret anyway. */
const LOOK_EVERY_MS = 5_000

export class CredentialWatch {
  readonly #changed: () => Promise<boolean>
  readonly #timers: ShipTimers
  readonly #onChanged: () => void
  #cancel: (() => void) | undefined
  /** Counts beginnings and ends: a look that was on its way at an end must not go on. */
  #turn = 0

  /** `changed` throws nothing. */
  constructor(changed: () => Promise<boolean>, timers: ShipTimers, onChanged: () => void) {
    this.#changed = changed
    this.#timers = timers
    this.#onChanged = onChanged
  }

  /** Looks from now on, until it has told of a change once, or is ended. Where it looks already, it goes on. */
  begin(): void {
    if (this.#cancel === undefined) this.#wait()
  }

  end(): void {
    this.#turn++
    this.#cancel?.()
    this.#cancel = undefined
  }

  #wait(): void {
    const turn = this.#turn
    this.#cancel = this.#timers.setTimer(LOOK_EVERY_MS, () => void this.#look(turn))
  }

  async #look(turn: number): Promise<void> {
    const changed = await this.#changed()
    if (turn !== this.#turn) return
    if (!changed) return this.#wait()
    this.end()
    this.#onChanged()
  }
}
