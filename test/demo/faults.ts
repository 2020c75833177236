/** The faults that the demo knows by name: what each is in words, and how it must show in the data. */

export interface Known {
  /** What the exchange does, after "FAULT: SYMBOL: ". */
  readonly text: string
  /** By which reason coverage must tell of it. */
  readonly reason: string
  /** Rows that were published before must be withdrawn: coverage must have a suspect row. */
  readonly suspect?: true
  /** Why it is done again before it was noticed. */
  readonly again?: string
}

/** A fault of the capture's own machine: the simulator knows nothing of it. */
export const KILL = 'kill'

const KNOWN: Readonly<Record<string, Known>> = {
  drop: { text: 'one change of the book is lost on the way', reason: 'sequence' },
  drop_below: { text: 'one change deep in the book is lost on the way', reason: 'sequence' },
  wrong_pu: { text: 'one change names a wrong one before it', reason: 'sequence' },
  reorder: { text: 'two changes of the book come in the wrong order', reason: 'sequence' },
  cut: { text: 'the connection of the book is cut', reason: 'reconnect' },
  close: { text: 'the connection of the book is closed', reason: 'reconnect' },
  silence: {
    text: 'the book freezes: connected, pings answered, nothing sent; the market goes on',
    reason: 'stale',
  },
  half_open: { text: 'the connection of the book is dead, and nobody says so', reason: 'stale' },
  crossed: {
    text: 'one change puts a bid at the best ask, which cannot be',
    reason: 'CrossedBook',
    suspect: true,
  },
  flip_level: {
    text: 'one change has a wrong quantity; nothing in the stream shows it',
    reason: 'audit_mismatch',
    suspect: true,
    again: 'no comparison with a snapshot was due yet, and a true change may have mended the level meanwhile',
  },
  garbage: { text: 'something unreadable comes in place of a change', reason: 'parse' },
  [KILL]: { text: 'the capture is killed (kill -9)', reason: 'crash' },
}

/** What is known of a kind; undefined for kinds that the demo cannot judge. */
export function knownFault(kind: string): Known | undefined {
  return Object.hasOwn(KNOWN, kind) ? KNOWN[kind] : undefined
}

/** What the capture does about it, by the reason in coverage, for people. */
const ANSWERS: Readonly<Record<string, string>> = {
  sequence: 'a change does not follow the one before; throws the book away',
  reconnect: 'throws the book away: a new connection never resumes an old one',
  stale: 'silent too long, so it asked: the market goes on without us; connects anew',
  audit_mismatch: 'the book differs from a fresh snapshot; withdraws the rows since the last proof',
  horizon: 'the price left what the snapshot had proven; throws the book away',
  parse: 'it cannot be read; throws the book away',
  overload: 'this machine was too busy for 2 s, changes may be lost; throws the book away',
  CrossedBook: 'writes no row of it, withdraws those since the last proof, and stops itself',
}

export function answerOf(reason: string): string {
  return ANSWERS[reason] ?? 'throws the book away'
}
