/**
 * The book: sorted levels of two sides, their horizon, their invariants, and their canonical bytes. Pure: levels
 * come in by `load` and `apply`; a book never checks chains (the session does) and never repairs itself: `fault`
 * says what is wrong, and the caller discards it.
 */
export { Book, type BookFault, levelsProven } from './book.ts'
export { Decoder, Encoder, hashBytes } from './canonical.ts'
export { type Difference, differenceOf } from './compare.ts'
export { BookSide } from './side.ts'
