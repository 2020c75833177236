import type { Decoder, Encoder } from '../book/mod.ts'

/** No stream is live before the first median of so many probes; then the latest so many count. */
const MEDIAN_OF = 5

interface Probe {
  /** Microseconds: our receive clock − the exchange's. */
  readonly offset: number
  readonly rtt: number
}

/** Judges the receive-time clock by probes of the exchange's. Event times are data and never enter. */
export class ClockGuard {
  readonly #skewMaxUs: number
  #probes: Probe[] = []

  constructor(skewMillisMax: number) {
    this.#skewMaxUs = skewMillisMax * 1000
  }

  /** There were probes enough for a median. */
  get ready(): boolean {
    return this.#probes.length === MEDIAN_OF
  }

  /** Median offset, microseconds; 0 before the first probe. */
  get offset(): number {
    return medianOf(this.#probes.map((probe) => probe.offset))
  }

  /** Takes a probe. Returns what is wrong with the clock; empty where nothing is, or too little is known. */
  probe(offset: number, rtt: number): string {
    this.#probes = [...this.#probes.slice(1 - MEDIAN_OF), { offset, rtt }]
    if (!this.ready) return ''
    // half of the way there and back is the most that a probe may be wrong by
    const surely = medianOf(this.#probes.map((probe) => Math.abs(probe.offset) - probe.rtt / 2))
    if (surely <= this.#skewMaxUs) return ''
    const ms = Math.round(this.offset / 1000)
    return `this machine's clock is ${Math.abs(ms)} ms ${ms > 0 ? 'ahead of' : 'behind'} the exchange's`
  }

  encode(out: Encoder): void {
    out.count(this.#probes.length)
    for (const { offset, rtt } of this.#probes) {
      out.float(offset)
      out.float(rtt)
    }
  }

  decode(from: Decoder): void {
    this.#probes = Array.from({ length: from.count() }, () => {
      const offset = from.float()
      return { offset, rtt: from.float() }
    })
  }
}

function medianOf(values: readonly number[]): number {
  if (values.length === 0) return 0
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]
}
