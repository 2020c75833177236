/**
 * Recorded traffic, played byte for byte.
 *
 * In: a file of recorded Binance USD-M frames. Out: a source that sends them at their own gaps, each symbol
 * from its first depth subscription, and that knows the exchange's book from the recorded snapshot on.
 */
export { RecordedBook } from './book.ts'
export { type RecordedFrame, type Recording, readRecording, type SymbolRecording } from './file.ts'
export { type PlaybackOptions, RecordedSource } from './source.ts'
