/** One object's rows, batch by batch, held against what the manifest says of them. */
import { formatTimeUs, type ManifestObject } from '../ship/mod.ts'
import { UnreadableError } from './decoder.ts'
import type { Findings } from './report.ts'
import { type Batch, type ObjectReader, parseStreamName } from './rows.ts'

/** Where an object's findings go, and what its rows belong to. */
export interface FeedContext {
  readonly key: string
  readonly object: ManifestObject
  readonly run: string
  /** Highest `seq` of the stream in the window before; −1 where unknown. */
  readonly seqBefore: bigint
  readonly findings: Findings
}

/** The id column of each stream; none where it has no ids. */
const ID_COLUMNS: Readonly<Record<string, string>> = {
  books: 'update_id',
  depth: 'update_id',
  trades: 'trade_id',
}

/**
 * Goes through the rows of an object in order. `T` is the caller's view of a batch. A batch that cannot be read, or
 * rows that are not those of the manifest, go to the findings; reading then ends or goes on as far as it makes sense.
 */
export class Feed<T> {
  /** Columns of the batch at hand; valid after `more` gave true. */
  view: T | undefined
  seqs: BigInt64Array = new BigInt64Array()
  receivedUs: BigInt64Array = new BigInt64Array()
  /** The row at hand within the batch. */
  row = 0
  readonly #batches: AsyncGenerator<Batch>
  readonly #viewOf: (batch: Batch) => T
  readonly #context: FeedContext
  readonly #idColumn: string | undefined
  #batchRows = 0
  #rows = 0
  #lastSeq: bigint
  #lastId = 0n
  #lastUs = 0n
  #ended = false

  constructor(reader: ObjectReader, context: FeedContext, viewOf: (batch: Batch) => T) {
    this.#batches = reader.batches()
    this.#viewOf = viewOf
    this.#context = context
    this.#idColumn = ID_COLUMNS[parseStreamName(context.object.stream)?.stream ?? '']
    this.#lastSeq = context.seqBefore
  }

  /** Is a row at hand without reading? */
  get ready(): boolean {
    return this.row < this.#batchRows
  }

  /** `seq` of the row at hand; undefined at the end. */
  get seq(): bigint | undefined {
    return this.ready ? this.seqs[this.row] : undefined
  }

  get lastSeq(): bigint {
    return this.#lastSeq
  }

  /** Leaves the batch at hand: the caller took it whole. */
  skipBatch(): void {
    this.row = this.#batchRows
  }

  /** Reads on where the batch is used up. False at the end. */
  async more(): Promise<boolean> {
    while (!this.ready && !this.#ended) {
      try {
        const next = await this.#batches.next()
        if (next.done === true) this.#finish()
        else this.#take(next.value)
      } catch (error) {
        if (!(error instanceof UnreadableError)) throw error
        this.#context.findings.note('object_unreadable', this.#context.key, error.message)
        this.#ended = true
        this.#batchRows = 0
      }
    }
    return this.ready
  }

  #take(batch: Batch): void {
    const seqs = batch.int64('seq')
    const received = batch.int64('received_time')
    const ids = this.#idColumn === undefined ? undefined : batch.int64(this.#idColumn)
    this.view = this.#viewOf(batch)
    if (!batch.isAll('run', this.#context.run)) this.#mismatch(`a row is not of run ${this.#context.run}`)
    if (this.#rows === 0) this.#checkEnds('first', seqs[0] ?? 0n, ids?.[0] ?? 0n, received[0] ?? 0n)
    let last = this.#lastSeq
    for (const seq of seqs) {
      if (seq <= last) this.#mismatch(`seq ${seq} follows ${last}`)
      last = seq
    }
    this.#lastSeq = last
    this.#lastId = ids?.at(-1) ?? 0n
    this.#lastUs = received.at(-1) ?? 0n
    this.#rows += batch.rows
    this.seqs = seqs
    this.receivedUs = received
    this.row = 0
    this.#batchRows = batch.rows
  }

  #finish(): void {
    this.#ended = true
    const { object } = this.#context
    if (this.#rows !== object.rows)
      this.#mismatch(`it holds ${this.#rows} rows, its manifest says ${object.rows}`)
    if (this.#rows > 0) this.#checkEnds('last', this.#lastSeq, this.#lastId, this.#lastUs)
  }

  #checkEnds(which: 'first' | 'last', seq: bigint, id: bigint, receivedUs: bigint): void {
    const { object } = this.#context
    const time = timeText(receivedUs)
    for (const [name, found, expected] of [
      ['seq', String(seq), object[`${which}_seq`]],
      ['id', String(id), object[`${which}_id`]],
      ['time', time, object[`${which}_time`]],
    ] as const) {
      if (found !== expected)
        this.#mismatch(`its ${which} ${name} is ${found}, its manifest says ${expected}`)
    }
  }

  #mismatch(detail: string): void {
    this.#context.findings.note('rows_mismatch', this.#context.key, detail)
  }
}

/** A time as manifests spell it; one that cannot be spelt stays a number. */
function timeText(us: bigint): string {
  const number = Number(us)
  return number >= 0 && Number.isSafeInteger(number) ? formatTimeUs(number) : `${us} us`
}
