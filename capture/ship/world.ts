/** What shipping has of the world besides its bucket and its spool. */

/** The wall clock and a timer, handed in. */
export interface ShipTimers {
  /** Milliseconds since the Unix epoch. */
  nowMs(): number
  /** Calls `fire` once after the delay; the returned function takes it back. */
  setTimer(delayMs: number, fire: () => void): () => void
}

/** What a pino logger offers of itself. */
export interface ShipLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}
