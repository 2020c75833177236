/** The streams that a capture may record, by the names that specifications use. */
export const STREAMS = ['books', 'depth', 'trades', 'mark_price'] as const
export type Stream = (typeof STREAMS)[number]

/** The stream's name in paths, coverage and status: `books` carries its number of levels (`books20`). */
export function streamPath(stream: Stream, bookLevels: number): string {
  return stream === 'books' ? `books${bookLevels}` : stream
}
