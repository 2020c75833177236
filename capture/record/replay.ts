import { type Exchange, exchangeByName } from '../exchange/mod.ts'
import { type SegmentEnd, type SegmentHeader, SegmentReader } from '../journal/mod.ts'
import { type Effects, type Input, type RowSink, Session, SessionConfig } from '../session/mod.ts'

/** Inputs replayed between two looks at the receiver's backlog. */
const INPUTS_PER_TURN = 2048

/** A segment that has come as far as its checkpoint, and can be replayed. */
export interface OpenSegment {
  readonly reader: Pick<SegmentReader, 'batches'>
  readonly header: SegmentHeader
  readonly config: SessionConfig
  readonly checkpoint: Uint8Array
}

/** A segment whose beginning cannot be read; its file is closed. `end` says why. */
export interface BeginningLost {
  readonly end: SegmentEnd
}

/** Opens a segment for replay. Rejects with the file system's errors. */
export async function openSegment(path: string): Promise<OpenSegment | BeginningLost> {
  const reader = await SegmentReader.open(path)
  const { header, checkpoint, end } = reader
  if (header !== undefined && checkpoint !== undefined) {
    return { reader, header, checkpoint, config: SessionConfig.parse(header.session) }
  }
  await reader.close()
  if (end === undefined) throw new Error(`${path} has neither a beginning nor an end`)
  return { end }
}

/** One pass over a segment: the session's own `step` over its inputs, its rows into a sink. */
export class Replay {
  readonly session: Session
  inputs = 0
  lastReceived: number
  readonly #segment: OpenSegment
  readonly #effects: Effects
  readonly #room: () => Promise<void>
  readonly #before: Readonly<Record<string, number>>

  /**
   * `room` is awaited now and then: it resolves when the receiver of the rows can take more. `exchange` is the one
   * that the segment names, unless a simulation gave the session another one.
   */
  constructor(segment: OpenSegment, rows: RowSink, room: () => Promise<void>, exchange?: Exchange) {
    const { header, config, checkpoint } = segment
    this.#segment = segment
    this.#room = room
    this.lastReceived = header.openedAt
    this.session = new Session(config, exchange ?? exchangeByName(config.exchange))
    this.session.restore(checkpoint)
    this.#before = { ...this.session.counters.values }
    this.#effects = { ...CARRIED_OUT, rows }
  }

  /** Replays all of it. Where it has no trailer its end is noted as a crash, or as damage, before the window closes. */
  async run(): Promise<SegmentEnd> {
    const { reader, header } = this.#segment
    this.session.openWindow(header.window, header.openedAt, this.#effects)
    const batches = reader.batches()
    let end: SegmentEnd | undefined
    while (end === undefined) {
      const next = await batches.next()
      if (next.done === true) end = next.value
      else await this.#steps(next.value)
    }
    if (end.end !== 'sealed') {
      const reason = end.end === 'torn' ? 'crash' : 'journal_corrupt'
      this.session.step({ kind: 'stop', received: this.lastReceived, reason }, this.#effects)
    }
    this.session.closeWindow(this.#effects)
    return end
  }

  /** What this window added to the session's counters. */
  counts(): Record<string, number> {
    const after = Object.entries(this.session.counters.values)
    return Object.fromEntries(after.map(([name, value]) => [name, value - this.#before[name]]))
  }

  async #steps(batch: readonly Input[]): Promise<void> {
    for (const input of batch) {
      this.session.step(input, this.#effects)
      this.lastReceived = input.received
      this.inputs++
      if (this.inputs % INPUTS_PER_TURN === 0) await this.#room()
    }
    await this.#room()
  }
}

/** Requests were carried out when the inputs happened: their outcomes are inputs too. */
const CARRIED_OUT: Omit<Effects, 'rows'> = {
  fetch: () => {},
  forget: () => {},
  reconnect: () => {},
  openBeside: () => {},
  closeOne: () => {},
  checkListing: () => {},
  halt: () => {},
}
