/** The gaps of one symbol, over all its processes: what coverage tells, as events. Pure. */
import type { EndReason } from '../../api/reasons.ts'
import type { ToldNews } from '../process/news.ts'
import type { CaptureStatus } from '../process/status.ts'
import type { OpenGap, RunEvent } from './events.ts'

const STOPPED: EndReason = 'stopped'
const CRASH: EndReason = 'crash'

export class Gaps {
  /** Gaps told so far, those of each stream counted. */
  count = 0
  readonly #symbol: string
  readonly #open = new Map<string, OpenGap>()
  /** Streams that are covered, and since when. */
  readonly #covered = new Map<string, string>()

  constructor(symbol: string) {
    this.#symbol = symbol
  }

  /** What coverage told. `stopping`: it was to end, so its end is no gap. */
  news(told: ToldNews, stopping: boolean): RunEvent[] {
    if (told.news === 'covered') return this.#cover(told.stream, told.from)
    this.#covered.delete(told.stream)
    if (stopping && told.reason === STOPPED) return []
    const { stream, reason, detail, from } = told
    return [this.#fall({ stream, reason, detail, from })]
  }

  /**
   * The process has ended. What it did not tell the end of ended with it: `crash`, from the last evidence that it told
   * of, half a second old at most. Coverage itself knows better once the next start has taken up the journal.
   */
  processEnded(last: CaptureStatus | undefined): RunEvent[] {
    const fallen = [...this.#covered].map(([stream, since]) => {
      const from = last?.streams[stream]?.lastReceived ?? since
      return this.#fall({ stream, reason: CRASH, detail: '', from: from < since ? since : from })
    })
    this.#covered.clear()
    return fallen
  }

  #fall(gap: OpenGap): RunEvent {
    this.count++
    this.#open.set(gap.stream, gap)
    return { event: 'gap', symbol: this.#symbol, ...gap, to: null }
  }

  #cover(stream: string, from: string): RunEvent[] {
    this.#covered.set(stream, from)
    const gap = this.#open.get(stream)
    if (gap === undefined) return []
    this.#open.delete(stream)
    const seconds = Math.max(0, Date.parse(from) - Date.parse(gap.from)) / 1000
    return [{ event: 'gap_closed', symbol: this.#symbol, ...gap, to: from, seconds }]
  }
}
