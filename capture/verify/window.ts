/** One window of one run: its objects, their rows, and its coverage. */
import { type Manifest, type ManifestObject, parseTimeUs } from '../ship/mod.ts'
import { coverageFault } from './coverage-object.ts'
import { Feed } from './feed.ts'
import { openObject, type Source } from './fetch.ts'
import { coverageOf, IntervalWalk, type StreamCoverage } from './intervals.ts'
import { derivedFault, type LevelSlice } from './rebuild.ts'
import { Findings } from './report.ts'
import { type Batch, type Lists, type ObjectReader, parseStreamName } from './rows.ts'
import type { RunState } from './run-state.ts'
import {
  type BooksColumns,
  booksView,
  type ChainColumns,
  type DepthColumns,
  depthView,
  tradesView,
} from './views.ts'

/** What came out of a window. */
export interface WindowOutcome {
  readonly findings: Findings
  readonly coverage: ReadonlyMap<string, StreamCoverage>
  /** Streams whose rows or coverage are not right: nothing of them is proven. */
  readonly damaged: ReadonlySet<string>
}

/** An object that is being read. */
interface Open {
  readonly name: string
  readonly key: string
  readonly object: ManifestObject
  readonly reader: ObjectReader
}

/** Verifies one window of one run; `keyOf` translates the manifest's keys to those in the bucket. */
export class WindowCheck {
  readonly #source: Source
  readonly #manifest: Manifest
  readonly #keyOf: (key: string) => string
  readonly #run: RunState
  readonly #findings = new Findings()
  readonly #coverage: ReadonlyMap<string, StreamCoverage>
  readonly #walks = new Map<string, IntervalWalk>()

  constructor(source: Source, manifest: Manifest, keyOf: (key: string) => string, run: RunState) {
    this.#source = source
    this.#manifest = manifest
    this.#keyOf = keyOf
    this.#run = run
    this.#coverage = coverageOf(manifest)
  }

  /** Throws the bucket's errors. */
  async check(): Promise<WindowOutcome> {
    const { objects } = this.#manifest
    const named = (stream: string) =>
      objects.find((object) => parseStreamName(object.stream)?.stream === stream)
    const [books, depth] = [named('books'), named('depth')]
    for (const object of objects) {
      if (object === books || object === depth) continue
      await this.#with(object, (open) => this.#checkOne(open))
    }
    if (books !== undefined || depth !== undefined) {
      await this.#with(depth, (openDepth) =>
        this.#with(books, (openBooks) => this.#checkBook(openDepth, openBooks)),
      )
    }
    this.#dropConsequences(books, depth)
    const damaged = this.#finishStreams()
    const right = !damaged.has('depth') && (books === undefined || !damaged.has(books.stream))
    this.#run.keepBook(right && this.#run.streams.get('depth')?.before?.interval !== undefined)
    this.#run.contiguous = true
    return { findings: this.#findings, coverage: this.#coverage, damaged }
  }

  /** Opens an object for the time of `work`; where it cannot be opened, `work` goes without it. */
  async #with(
    object: ManifestObject | undefined,
    work: (open: Open | undefined) => Promise<void>,
  ): Promise<void> {
    if (object === undefined) return work(undefined)
    const key = this.#keyOf(object.key)
    const reader = await openObject(this.#source, this.#manifest, object, key, this.#findings)
    try {
      await work(reader === undefined ? undefined : { name: object.stream, key, object, reader })
    } finally {
      reader?.close()
    }
  }

  async #checkOne(open: Open | undefined): Promise<void> {
    if (open === undefined) return
    switch (parseStreamName(open.name)?.stream) {
      case 'coverage':
        return this.#checkCoverage(open)
      case 'trades':
        return this.#checkTrades(open)
      default:
        return this.#checkUnchained(open)
    }
  }

  async #checkCoverage(open: Open): Promise<void> {
    const feed = this.#feed(open, (batch) => batch)
    const rows: Batch[] = []
    while (await feed.more()) {
      if (feed.view !== undefined) rows.push(feed.view)
      feed.skipBatch()
    }
    const fault = coverageFault(this.#manifest, rows)
    if (fault !== undefined) this.#findings.note('coverage_mismatch', open.key, fault)
  }

  async #checkUnchained(open: Open): Promise<void> {
    const feed = this.#feed(open, (batch) => batch.int32('connection'))
    const walk = this.#walk(open.name)
    while (await feed.more()) {
      const receivedUs = Number(feed.receivedUs[feed.row])
      walk.enter(feed.seqs[feed.row] ?? 0n)
      walk.evidence({ previousId: 0n, id: 0n, receivedUs, connection: feed.view?.[feed.row] ?? 0 })
      feed.row++
    }
  }

  async #checkTrades(open: Open): Promise<void> {
    const feed = this.#feed(open, tradesView)
    while (await feed.more()) {
      if (feed.view !== undefined) this.#follow(open, feed, feed.view)
      feed.row++
    }
  }

  /** Books and depth side by side in the order of `seq`: each row of books against the book rebuilt up to it. */
  async #checkBook(openDepth: Open | undefined, openBooks: Open | undefined): Promise<void> {
    const depth = openDepth === undefined ? undefined : this.#feed(openDepth, depthView)
    const levels = parseStreamName(openBooks?.name ?? '')?.levels ?? 0
    const books = openBooks === undefined ? undefined : this.#feed(openBooks, booksView(levels))
    this.#run.rebuild.startFile(this.#run.bookFollows)
    for (;;) {
      if (depth !== undefined && !depth.ready) await depth.more()
      if (books !== undefined && !books.ready) await books.more()
      const depthSeq = depth?.seq
      const booksSeq = books?.seq
      if (
        depth !== undefined &&
        openDepth !== undefined &&
        depthSeq !== undefined &&
        !(booksSeq !== undefined && booksSeq < depthSeq)
      ) {
        if (depth.view !== undefined) this.#depthRow(openDepth, depth, depth.view)
        depth.row++
      } else if (books !== undefined && openBooks !== undefined && booksSeq !== undefined) {
        if (books.view !== undefined) this.#booksRow(openBooks, books, books.view, depth !== undefined)
        books.row++
      } else return
    }
  }

  #depthRow(open: Open, feed: Feed<DepthColumns>, view: DepthColumns): void {
    const row = feed.row
    const kind = view.kinds(row)
    const id = view.ids[row] ?? 0n
    if (kind === 'delta') this.#follow(open, feed, view)
    else if (kind === 'snapshot' || kind === 'book') {
      const walk = this.#walk(open.name)
      const place = walk.enter(feed.seqs[row] ?? 0n)
      walk.stands(id)
      const link = {
        previousId: view.previousIds?.[row] ?? 0n,
        id,
        connection: view.connections[row] ?? 0,
        gapBefore: view.gapBefore(row),
      }
      this.#note('chain_broken', open, this.#run.stream(open.name).chain.replace(kind, link, place))
    } else {
      this.#note('rows_mismatch', open, `a row is of kind ${JSON.stringify(kind)}`)
      return
    }
    const fault = this.#run.rebuild.apply({
      kind,
      id,
      bids: slice(view.bidPrices, view.bidQtys, row),
      asks: slice(view.askPrices, view.askQtys, row),
      bidReach: view.bidReach[row] ?? Number.NaN,
      askReach: view.askReach[row] ?? Number.NaN,
    })
    if (fault !== undefined) this.#note(fault.kind, open, fault.detail)
  }

  #booksRow(open: Open, feed: Feed<BooksColumns>, view: BooksColumns, hasDepth: boolean): void {
    const row = feed.row
    this.#follow(open, feed, view)
    const bid = view.derived.best_bid_price[row] ?? Number.NaN
    const ask = view.derived.best_ask_price[row] ?? Number.NaN
    // written so that a price that is no number counts as crossed
    if (!(bid < ask))
      this.#note(
        'book_crossed',
        open,
        `at id ${view.ids[row]} the best bid ${bid} is not below the best ask ${ask}`,
      )
    this.#note('book_mismatch', open, derivedFault(view, row))
    if (hasDepth) this.#note('book_mismatch', open, this.#run.rebuild.difference(view, row))
  }

  /** The checks of a row that chains: its place in coverage, its chain, its evidence. */
  #follow<T extends ChainColumns>(open: Open, feed: Feed<T>, view: T): void {
    const row = feed.row
    const id = view.ids[row] ?? 0n
    const previousId = view.previousIds === undefined ? id - 1n : (view.previousIds[row] ?? 0n)
    const connection = view.connections[row] ?? 0
    const walk = this.#walk(open.name)
    const place = walk.enter(feed.seqs[row] ?? 0n)
    const { chain } = this.#run.stream(open.name)
    // trades count by one whatever connection brings them: nothing takes over there
    const link = { previousId, id, connection: view.previousIds === undefined ? 0 : connection }
    const gapBefore = view.gapBefore(row)
    this.#note('chain_broken', open, chain.follow({ ...link, gapBefore }, place))
    walk.evidence({ previousId, id, receivedUs: Number(feed.receivedUs[row]), connection })
  }

  #note(kind: Parameters<Findings['note']>[0], open: Open, fault: string | undefined): void {
    if (fault !== undefined) this.#findings.note(kind, open.key, fault)
  }

  #feed<T>({ name, key, object, reader }: Open, viewOf: (batch: Batch) => T): Feed<T> {
    const state = this.#run.stream(name)
    const context = {
      key,
      object,
      run: this.#manifest.run,
      seqBefore: state.lastSeq,
      findings: this.#findings,
    }
    state.lastSeq = BigInt(object.rows > 0 ? object.last_seq : state.lastSeq)
    return new Feed(reader, context, viewOf)
  }

  #walk(name: string): IntervalWalk {
    let walk = this.#walks.get(name)
    if (walk === undefined) {
      const coverage = this.#coverage.get(name) ?? { intervals: [], suspects: [] }
      const closedUs = parseTimeUs(this.#manifest.closed)
      const isCut = name === 'mark_price' && this.#manifest.cut?.mark_price !== undefined
      walk = new IntervalWalk(name, coverage, this.#run.stream(name).before, closedUs, isCut)
      this.#walks.set(name, walk)
    }
    return walk
  }

  /** A row of books that differs from a depth that is not right says nothing about books. */
  #dropConsequences(books: ManifestObject | undefined, depth: ManifestObject | undefined): void {
    if (books === undefined || depth === undefined) return
    const key = this.#keyOf(books.key)
    const cause = this.#findings.at(this.#keyOf(depth.key))
    if (cause !== undefined && this.#findings.at(key)?.kind === 'book_mismatch') this.#findings.drop(key)
  }

  /** Closes every stream's coverage, tells what does not agree, and keeps what the next window needs. */
  #finishStreams(): Set<string> {
    const damaged = new Set<string>()
    const coverageKey = this.#coverageKey()
    for (const { stream, key } of this.#manifest.objects) {
      if (this.#findings.at(this.#keyOf(key)) !== undefined && stream !== 'coverage') damaged.add(stream)
    }
    const names = new Set([...this.#coverage.keys(), ...this.#run.streams.keys()])
    names.delete('coverage')
    for (const name of names) {
      const walk = this.#walk(name)
      const before = walk.finish()
      const state = this.#run.stream(name)
      // rows that are not right do not agree with coverage either
      if (!damaged.has(name) && walk.fault !== undefined) {
        this.#findings.note('coverage_mismatch', coverageKey, walk.fault)
        damaged.add(name)
      }
      if (damaged.has(name)) {
        this.#run.streams.delete(name)
        this.#run.stream(name).before = undefined
      } else state.before = before
    }
    return damaged
  }

  #coverageKey(): string {
    const object =
      this.#manifest.objects.find(({ stream }) => stream === 'coverage') ?? this.#manifest.objects[0]
    return this.#keyOf(object?.key ?? '')
  }
}

function slice(prices: Lists, qtys: Lists, row: number): LevelSlice {
  return {
    prices: prices.values,
    qtys: qtys.values,
    from: prices.offsets[row] ?? 0,
    to: prices.offsets[row + 1] ?? 0,
  }
}
