/** The exchange's chain of ids along the rows of one stream of one run, across its windows. */
import { meets } from '../exchange/mod.ts'
import type { Place } from './intervals.ts'

/** What of a row matters to its chain. */
export interface Link {
  readonly previousId: bigint
  readonly id: bigint
  readonly connection: number
  readonly gapBefore: boolean
}

/**
 * Every row follows the one before it, or says `gap_before` where coverage says that an interval begins. Each method
 * returns what is wrong, in words.
 */
export class IdChain {
  /** Undefined where the row before is not known. */
  #lastId: bigint | undefined
  #connection = 0
  /** The book stands at a snapshot: the first event after it meets its id, and need not equal it. */
  #joining = false

  /** The rows before are not there or not right: the next row is not held against them. */
  forget(): void {
    this.#lastId = undefined
    this.#joining = false
  }

  /** A change of the book, or a trade (whose previous id is its id − 1). */
  follow(link: Link, place: Place | undefined): string | undefined {
    const fault = this.#faultOf(link, place)
    this.#lastId = link.id
    this.#connection = link.connection
    this.#joining = false
    return fault
  }

  /** A whole book at an id: the exchange's (`snapshot`) or our own (`book`). It follows no event, so it names none. */
  replace(kind: 'snapshot' | 'book', link: Link, place: Place | undefined): string | undefined {
    const { previousId, id, gapBefore } = link
    const lastId = this.#lastId
    let fault: string | undefined
    if (previousId !== 0n)
      fault = `the ${kind} at id ${id} chains to ${previousId}, a whole book chains to none`
    else if (gapBefore) fault = misplacedGap(id, place)
    else if (lastId !== undefined && id !== lastId) {
      fault = `the ${kind} at id ${id} follows a row at ${lastId}, and no gap is told`
    }
    if (kind === 'snapshot' || lastId === undefined || gapBefore) {
      this.#joining = true
      this.#connection = link.connection
    }
    // a book of our own may name a connection that has taken over and has brought no event yet: the first one meets
    this.#lastId = id
    return fault
  }

  #faultOf({ previousId, id, connection, gapBefore }: Link, place: Place | undefined): string | undefined {
    const lastId = this.#lastId
    if (id < previousId) return `row ${id} chains to the later id ${previousId}`
    if (gapBefore) return misplacedGap(id, place)
    if (lastId === undefined || previousId === lastId) return undefined
    // inside one connection only equality counts
    if (connection > this.#connection) {
      // the first event of a later one meets the id, and leads on: what ends there was in the book already
      if (previousId < lastId && lastId < id) return undefined
    } else if (this.#joining && meets({ previousId, finalId: id }, lastId)) return undefined
    return `row ${id} chains to ${previousId}, the row before it is ${lastId}, and no gap is told`
  }
}

function misplacedGap(id: bigint, place: Place | undefined): string | undefined {
  // a row outside all intervals is told by coverage_mismatch
  if (place?.begun !== true) return undefined
  return `a gap is told before row ${id}, inside an interval that coverage calls unbroken`
}
