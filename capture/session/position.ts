/** A place in one stream by the exchange's own measure: it means the same to every run and every process. */
export interface Position {
  /** Update id of the book, id of a trade; 0 where the stream has none. */
  readonly id: bigint
  /** Transaction time, trade time, or event time of a mark price; ms since the epoch. */
  readonly timeMs: number
}

/** A place whose time may not be known: a snapshot's own time is not that of its id. */
export type Standing = Omit<Position, 'timeMs'> & { readonly timeMs: number | undefined }

/** So far an exchange's clock may have been set back without its ids having begun anew, ms. */
const SET_BACK_MS = 10_000

/**
 * Is a place at or before another one of the same stream? Ids decide, until the exchange begins them anew, lower: then
 * its time goes on. So what has a lower id and is later in time is no repetition, and what has a higher id and is far
 * earlier was before.
 */
export function isUpTo({ id, timeMs }: Standing, other: Position): boolean {
  if (timeMs === undefined) return id <= other.id
  return id <= other.id ? timeMs <= other.timeMs : timeMs < other.timeMs - SET_BACK_MS
}
