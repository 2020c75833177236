import type { Stream } from '../../api/streams.ts'

/** Notes when streams change their state, to the second: sessions keep no such thing, since no row depends on it. */
export class StreamSince {
  readonly #states = new Map<Stream, { readonly state: string; readonly since: number }>()

  /** To be called at each tick; `received` in microseconds. */
  note(stream: Stream, state: string, received: number): void {
    if (this.#states.get(stream)?.state !== state) this.#states.set(stream, { state, since: received })
  }

  /** Since when the stream is in its state, receive time in microseconds; 0 where nothing is known. */
  since(stream: Stream): number {
    return this.#states.get(stream)?.since ?? 0
  }
}
