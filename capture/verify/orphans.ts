/** Objects that no manifest names. Day by day, so that the names of one day's windows are in memory at once. */
import { type Manifest, type ObjectKey, objectKey, parseTimeUs } from '../ship/mod.ts'
import type { Market } from './listing.ts'
import type { Findings } from './report.ts'
import type { RunWindows } from './run-windows.ts'

/** What a manifest says of its objects' names. */
export interface Named {
  readonly openedUs: number
  readonly streams: readonly string[]
}

export function namesOf(manifest: Manifest): Named {
  return { openedUs: parseTimeUs(manifest.opened), streams: manifest.objects.map(({ stream }) => stream) }
}

interface Found {
  readonly key: string
  readonly parsed: ObjectKey
}

export class Orphans {
  readonly #market: Market
  readonly #findings: Findings
  readonly #runs: ReadonlyMap<string, RunWindows>
  /**
   * Days with objects of windows without a manifest so far: in flight, unless a later day has one of a later window.
   * Their names are listed again then, not kept: a run whose manifests are all lost leaves objects without end.
   */
  readonly #waiting = new Set<string>()

  constructor(market: Market, runs: ReadonlyMap<string, RunWindows>, findings: Findings) {
    this.#market = market
    this.#runs = runs
    this.#findings = findings
  }

  /** Days to list again once all days are there. */
  get waiting(): Iterable<string> {
    return this.#waiting
  }

  /** Checks an object of a day; `named` are that day's windows by name, undefined where a manifest is not right. */
  check(day: string, found: Found, named: ReadonlyMap<string, Named | undefined>): void {
    const { run, window, stream } = found.parsed
    const name = windowKey(run, window)
    if (!named.has(name)) {
      if (!this.#judge(found)) this.#waiting.add(day)
      return
    }
    const own = named.get(name)
    // what a manifest that is not right named nobody knows
    if (own === undefined) return
    const { prefix, exchange, symbol } = this.#market
    const { openedUs, streams } = own
    const expected = objectKey({ prefix, exchange, symbol, stream, openedUs, run, window })
    if (expected !== found.key || !streams.includes(stream)) this.#note(found)
  }

  /**
   * All days are there: judges an object of a waiting day again; `names` are the windows that have a manifest on that
   * day. What nobody knows even now is in flight, or of a run that never committed a window.
   */
  checkAgain(found: Found, names: ReadonlySet<string>): void {
    if (!names.has(windowKey(found.parsed.run, found.parsed.window))) this.#judge(found)
  }

  /** Judges an object of a window without a manifest on its day; false where a later day may tell more. */
  #judge(found: Found): boolean {
    const { run, window, openedUs } = found.parsed
    const windows = this.#runs.get(run)
    const hole = windows?.holeAt(window)
    // the object tells the day of a window whose manifest is missing
    if (hole !== undefined) {
      if (hole.window === window) hole.openedUs = openedUs
      return true
    }
    if (windows?.has(window) !== true) return false
    this.#note(found)
    return true
  }

  #note({ key, parsed: { window } }: Found): void {
    this.#findings.note('object_orphan', key, `the manifest of window ${window} of its run does not name it`)
  }
}

/** A window's name among those of a day. */
export function windowKey(run: string, window: number): string {
  return `${run} ${window}`
}
