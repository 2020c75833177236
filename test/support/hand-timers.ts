import assert from 'node:assert/strict'
import type { ShipTimers } from '../../capture/ship/mod.ts'

/** Timers whose time passes only when told to. */
export class HandTimers implements ShipTimers {
  #nowMs = Date.parse('2026-11-22T12:00:00Z')
  /** Every delay that was asked for, in order. */
  readonly delays: number[] = []
  readonly #pending = new Set<{ readonly atMs: number; readonly fire: () => void }>()

  nowMs(): number {
    return this.#nowMs
  }

  setTimer(delayMs: number, fire: () => void): () => void {
    this.delays.push(delayMs)
    const timer = { atMs: this.#nowMs + delayMs, fire }
    this.#pending.add(timer)
    return () => this.#pending.delete(timer)
  }

  get pending(): number {
    return this.#pending.size
  }

  /** Lets time pass to the next timer and fires it. */
  next(): void {
    const [first] = [...this.#pending].sort((a, b) => a.atMs - b.atMs)
    assert.ok(first !== undefined, 'a timer is set')
    this.#pending.delete(first)
    this.#nowMs = first.atMs
    first.fire()
  }
}
