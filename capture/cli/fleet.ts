/** All symbols of a run: started together, stopped together, and what the whole ended as. */
import type { ProcessConfig } from '../../api/config.ts'
import { EXIT_DRAINED, EXIT_INTERNAL_ERROR, EXIT_WRONG_CALL } from '../../api/reasons.ts'
import type { RunEvent, SymbolStatus } from './events.ts'
import { Member } from './member.ts'

/** Between two starts: a hundred processes that start at once only wait for each other. */
const STAGGER_MS = 50
/** So many may start like this; later ones share the address's 300 connection attempts in five minutes. */
const UNPACED_MAX = 40
const PACED_MS = 3_000
/** A process that was told to leave and is still there after this is ended by force. */
const LEAVE_MS = 10_000

export class Fleet {
  readonly #members: readonly Member[]
  readonly #tell: (event: RunEvent) => void
  #stops = 0
  #wrongCall = false

  constructor(configs: readonly ProcessConfig[], tell: (event: RunEvent) => void) {
    this.#tell = tell
    this.#members = configs.map((config) => new Member(config, (event) => this.#onEvent(event)))
  }

  /** Runs until every symbol has ended; gives the exit code of the command. */
  async run(): Promise<number> {
    for (const [i, member] of this.#members.entries()) member.start(startDelayMs(i))
    const ends = await Promise.all(this.#members.map(({ ended }) => ended))
    const exitCode = this.#wrongCall
      ? EXIT_WRONG_CALL
      : ends.includes('terminal')
        ? EXIT_INTERNAL_ERROR
        : EXIT_DRAINED
    this.#tell({ event: 'done', exitCode, symbols: this.statuses() })
    return exitCode
  }

  /** The first call ends every symbol in order, the second at once, the third by force. */
  stop(why: string): void {
    this.#stops++
    if (this.#stops === 1) this.#tell({ event: 'stopping', why, again: false })
    if (this.#stops === 2) {
      const why = 'told again: leaves at once, the next start ships what is left'
      this.#tell({ event: 'stopping', why, again: true })
      setTimeout(() => this.#kill(), LEAVE_MS).unref()
    }
    if (this.#stops > 2) return this.#kill()
    for (const member of this.#members) member.stop()
  }

  statuses(): SymbolStatus[] {
    return this.#members.map((member) => member.status())
  }

  #kill(): void {
    for (const member of this.#members) member.kill()
  }

  #onEvent(event: RunEvent): void {
    if (event.event === 'ended' && event.next === 'wrong_call') {
      // one mistake, one sentence: the others may well have made the same
      if (this.#wrongCall) return
      this.#wrongCall = true
      this.#tell(event)
      if (this.#stops === 0 && this.#members.length > 1) this.stop('the call is wrong for one symbol')
      return
    }
    this.#tell(event)
  }
}

/** When the symbol of this index starts, ms after the first: each start opens two connections. */
export function startDelayMs(index: number): number {
  return Math.min(index, UNPACED_MAX) * STAGGER_MS + Math.max(0, index - UNPACED_MAX) * PACED_MS
}
