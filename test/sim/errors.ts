/** What can go wrong with the simulator itself, each a message to a person with a code that stays. */
export type SimErrorCode =
  | 'wrong_call' // an option or argument that makes no sense
  | 'port_in_use' // the port asked for belongs to another process
  | 'recording_unreadable' // the file is missing, or its compression is damaged
  | 'recording_malformed' // the file is no recording of Binance USD-M traffic
  | 'recording_too_large' // the file exceeds what is held in memory
  | 'book_unknown' // the true book at this id is not, or no longer, known
  | 'ledger_full' // more was emitted than the ledger for oracles holds

export class SimError extends Error {
  readonly code: SimErrorCode

  constructor(code: SimErrorCode, message: string) {
    super(message)
    this.name = 'SimError'
    this.code = code
  }
}

/** The message of whatever was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
