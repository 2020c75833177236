/**
 * Decodes Parquet in worker threads that may die. Bytes of strangers can trap the decoder, or keep it busy for ever;
 * a process that reads them on its own thread would end with them.
 */
import { Worker } from 'node:worker_threads'

/** Longest time for one answer: the largest row group takes well under a second. */
const ANSWER_MS_MAX = 60_000

/** What a file says of itself. */
export interface FileSummary {
  readonly rows: number
  readonly rowGroups: readonly { readonly rows: number; readonly compressedBytes: number }[]
  readonly metadata: readonly (readonly [string, string])[]
  readonly createdBy: string
  /** The schema as an Arrow IPC stream without rows. */
  readonly schemaIpc: Uint8Array
}

export type DecoderRequest =
  | { readonly do: 'open'; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly do: 'read'; readonly rowGroup: number; readonly batchRows: number }

export type DecoderAnswer = { readonly summary: FileSummary } | { readonly ipc: Uint8Array }

/** Bytes that cannot be read as what they should be. */
export class UnreadableError extends Error {
  override readonly name = 'UnreadableError'
  readonly code = 'object_unreadable'
}

/** One file in a worker of its own. */
export class DecodedFile {
  readonly summary: FileSummary
  readonly #worker: Worker
  readonly #release: (worker: Worker | undefined) => void
  #dead = false

  constructor(worker: Worker, summary: FileSummary, release: (worker: Worker | undefined) => void) {
    this.#worker = worker
    this.summary = summary
    this.#release = release
  }

  /** A row group as an Arrow IPC stream. Throws UnreadableError. */
  async read(rowGroup: number, batchRows: number): Promise<Uint8Array> {
    if (this.#dead) throw new UnreadableError('it cannot be read as Parquet: the decoder failed before')
    try {
      const answer = await ask(this.#worker, { do: 'read', rowGroup, batchRows })
      if ('ipc' in answer) return answer.ipc
      throw new UnreadableError('it cannot be read as Parquet: the decoder gave no rows')
    } catch (error) {
      this.#dead = true
      throw error
    }
  }

  /** Gives the worker back. A decoder that failed is not used again. */
  close(): void {
    if (this.#dead) void this.#worker.terminate()
    this.#release(this.#dead ? undefined : this.#worker)
  }
}

/** Workers, as many as files are open at once. Close it: idle workers are kept until then. */
export class Decoder {
  readonly #idle: Worker[] = []

  /** Opens a file; its bytes move into the worker and are gone here. Throws UnreadableError. */
  async open(bytes: Uint8Array<ArrayBuffer>): Promise<DecodedFile> {
    const worker = this.#idle.pop() ?? startWorker()
    try {
      const answer = await ask(worker, { do: 'open', bytes }, [bytes.buffer])
      if (!('summary' in answer))
        throw new UnreadableError('it cannot be read as Parquet: the decoder gave no summary')
      return new DecodedFile(worker, answer.summary, (free) => {
        if (free !== undefined) this.#idle.push(free)
      })
    } catch (error) {
      await worker.terminate()
      throw error
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#idle.splice(0).map((worker) => worker.terminate()))
  }
}

function startWorker(): Worker {
  // what a trap prints names addresses of the decoder: the answer says what a person needs
  const worker = new Worker(new URL('./decoder-worker.ts', import.meta.url), { stderr: true })
  worker.stderr.resume()
  // whoever waits hears of an error; one between two requests shows at the next, and must not end this process
  worker.on('error', () => undefined)
  return worker
}

/** One request, one answer: or the worker's end, or too long a silence. */
async function ask(
  worker: Worker,
  request: DecoderRequest,
  transfer: ArrayBuffer[] = [],
): Promise<DecoderAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<DecoderAnswer>()
  const fail = (why: string) => reject(new UnreadableError(`it cannot be read as Parquet: ${why}`))
  const onMessage = (answer: DecoderAnswer | { readonly error: string }) =>
    'error' in answer ? fail(answer.error) : resolve(answer)
  const onError = (error: Error) => fail(`the decoder failed (${error.message})`)
  const onExit = () => fail('the decoder ended')
  worker.once('message', onMessage)
  worker.once('error', onError)
  worker.once('exit', onExit)
  const timer = setTimeout(
    () => fail(`the decoder gave no answer within ${ANSWER_MS_MAX / 1000} s`),
    ANSWER_MS_MAX,
  )
  worker.postMessage(request, transfer)
  try {
    return await promise
  } finally {
    clearTimeout(timer)
    worker.off('message', onMessage)
    worker.off('exit', onExit)
    worker.off('error', onError)
  }
}
