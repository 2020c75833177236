/** What a run carries from window to window while it is verified. */
import { IdChain } from './chain.ts'
import type { Before } from './intervals.ts'
import { Rebuild } from './rebuild.ts'

/** What a stream carries from one window of its run to the next. */
interface StreamState {
  readonly chain: IdChain
  before: Before
  lastSeq: bigint
}

/** What a run carries from window to window; what is not right is forgotten. */
export class RunState {
  readonly streams = new Map<string, StreamState>()
  /** The book of the window before is right, and goes on. */
  bookFollows = false
  /** All that the run did before is known: its beginning, or a window that was there. */
  contiguous = true
  #rebuild: Rebuild | undefined

  get rebuild(): Rebuild {
    this.#rebuild ??= new Rebuild()
    return this.#rebuild
  }

  stream(name: string): StreamState {
    let state = this.streams.get(name)
    if (state === undefined) {
      // a stream without a row before had no interval before, if the windows before are known
      state = { chain: new IdChain(), before: this.contiguous ? null : undefined, lastSeq: -1n }
      this.streams.set(name, state)
    }
    return state
  }

  /** Between windows a book is kept only where the next one is held against it: many runs may lie side by side. */
  keepBook(follows: boolean): void {
    this.bookFollows = follows
    if (!follows) this.#rebuild = undefined
  }

  /** The window is not there, or not right: the next one is held against nothing. */
  forget(): void {
    this.streams.clear()
    this.keepBook(false)
    this.contiguous = false
  }
}
