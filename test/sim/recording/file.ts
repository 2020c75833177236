/**
 * Reads a recording of Binance USD-M traffic: gzip, one frame a line, `<receive ns>\t<via>\t<payload>`.
 * Payloads stay the bytes that they were; only the name of the stream is looked at.
 */
import { createReadStream } from 'node:fs'
import { createGunzip } from 'node:zlib'
import { messageOf, SimError } from '../errors.ts'
import { parseStream, type StreamName } from '../streams.ts'

/** A recording is held in memory, so that frames go out on time: 20 MB for 8 minutes of BTCUSDT. */
const RECORDING_BYTES_MAX = 1024 * 1024 * 1024
const NEWLINE = 0x0a
const TAB = 0x09
const STREAM_PREFIX = Buffer.from('{"stream":"')
const DATA_PREFIX = Buffer.from('","data":')

/** A recorded WebSocket frame. */
export interface WireFrame {
  readonly kind: 'wire'
  /** Receive time, microseconds since the epoch by the recorder's clock; never before its predecessor's. */
  readonly atUs: number
  readonly stream: RecordedStream
  /** The frame as it was, and the value of its `data`, which is what a bare socket gets. */
  readonly wrapped: Buffer
  readonly bare: Buffer
}

/** A recorded REST snapshot. */
export interface SnapshotFrame {
  readonly kind: 'snapshot'
  readonly atUs: number
  readonly body: Buffer
  /** How many levels a side were asked for. */
  readonly limit: number
}

export type RecordedFrame = WireFrame | SnapshotFrame

/** A recorded stream's name, and whether its frames are single trades, which nobody is sent as such. */
export interface RecordedStream extends StreamName {
  readonly single: boolean
}

export interface SymbolRecording {
  readonly symbol: string
  readonly frames: RecordedFrame[]
  /** By name, in the order of their first frames. */
  readonly streams: Map<string, RecordedStream>
}

export interface Recording {
  /** By symbol, in the order of their first frames. */
  readonly symbols: ReadonlyMap<string, SymbolRecording>
  readonly lines: number
  /** From the first line to the last, at the recording's own speed. */
  readonly seconds: number
}

/**
 * Throws SimError `recording_unreadable` (no such file, damaged compression), `recording_malformed` (a line
 * that is none of Binance USD-M) or `recording_too_large`.
 */
export async function readRecording(path: string): Promise<Recording> {
  const reader = new Reader(path)
  const file = createReadStream(path)
  const unzipped = createGunzip()
  // pipe() does not hand on the file's own failures, such as a missing file.
  file.on('error', (error) => unzipped.destroy(error))
  try {
    for await (const chunk of file.pipe(unzipped)) reader.chunk(chunk as Buffer)
  } catch (thrown) {
    if (thrown instanceof SimError) throw thrown
    throw new SimError('recording_unreadable', `The recording ${path} cannot be read: ${messageOf(thrown)}.`)
  }
  return reader.end()
}

class Reader {
  readonly #path: string
  readonly #symbols = new Map<string, SymbolRecording>()
  readonly #streams = new Map<string, RecordedStream>()
  #rest: Buffer = Buffer.alloc(0)
  #bytes = 0
  #lines = 0
  #firstUs = 0
  #lastUs = 0

  constructor(path: string) {
    this.#path = path
  }

  chunk(chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#bytes > RECORDING_BYTES_MAX) {
      throw new SimError(
        'recording_too_large',
        `The recording ${this.#path} exceeds ${RECORDING_BYTES_MAX} bytes unpacked; cut it into shorter ones.`,
      )
    }
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let from = 0
    for (let to = bytes.indexOf(NEWLINE); to >= 0; to = bytes.indexOf(NEWLINE, from)) {
      this.#line(bytes.subarray(from, to))
      from = to + 1
    }
    this.#rest = bytes.subarray(from)
  }

  end(): Recording {
    if (this.#rest.length > 0) this.#line(this.#rest)
    if (this.#lines === 0) throw this.#malformed('it is empty')
    return {
      symbols: this.#symbols,
      lines: this.#lines,
      seconds: (this.#lastUs - this.#firstUs) / 1e6,
    }
  }

  #line(line: Buffer): void {
    this.#lines++
    const viaFrom = line.indexOf(TAB) + 1
    const payloadFrom = line.indexOf(TAB, viaFrom) + 1
    if (viaFrom === 0 || payloadFrom === 0) throw this.#malformed('it has no two tabs')
    // The last three digits are below the resolution of a timer, and 19 digits exceed a double.
    const atUs = Number(line.toString('latin1', 0, Math.max(0, viaFrom - 4)))
    if (!Number.isSafeInteger(atUs) || atUs <= 0) throw this.#malformed('it begins with no receive time')
    if (this.#lines === 1) this.#firstUs = atUs
    this.#lastUs = Math.max(this.#lastUs, atUs)
    const via = line.toString('utf8', viaFrom, payloadFrom - 1)
    const payload = line.subarray(payloadFrom)
    if (via === 'ws') this.#wire(payload)
    else if (via.startsWith('http ')) this.#http(via.slice('http '.length), payload)
    else throw this.#malformed(`it came by "${via}", neither ws nor http`)
  }

  #wire(wrapped: Buffer): void {
    const nameTo = wrapped.indexOf(DATA_PREFIX)
    if (wrapped.indexOf(STREAM_PREFIX) !== 0 || nameTo < 0) {
      throw this.#malformed('its frame is none of a combined Binance stream')
    }
    const stream = this.#stream(wrapped.toString('utf8', STREAM_PREFIX.length, nameTo))
    const bare = wrapped.subarray(nameTo + DATA_PREFIX.length, wrapped.length - 1)
    const recording = this.#symbol(stream.symbol)
    recording.streams.set(stream.name, stream)
    recording.frames.push({ kind: 'wire', atUs: this.#lastUs, stream, wrapped, bare })
  }

  #stream(name: string): RecordedStream {
    const known = this.#streams.get(name)
    if (known !== undefined) return known
    const parsed = parseStream(name)
    if (parsed === undefined) throw this.#malformed(`its stream "${name}" belongs to no symbol`)
    const stream = { ...parsed, single: name.endsWith('@trade') }
    this.#streams.set(name, stream)
    return stream
  }

  #http(target: string, body: Buffer): void {
    const { pathname, searchParams } = new URL(target, 'http://sim')
    const symbol = searchParams.get('symbol')
    const limit = Number(searchParams.get('limit') ?? 500)
    if (pathname !== '/fapi/v1/depth' || symbol === null) return // other answers are the simulator's own
    this.#symbol(symbol).frames.push({ kind: 'snapshot', atUs: this.#lastUs, body, limit })
  }

  #symbol(symbol: string): SymbolRecording {
    let recording = this.#symbols.get(symbol)
    if (recording === undefined) {
      recording = { symbol, frames: [], streams: new Map() }
      this.#symbols.set(symbol, recording)
    }
    return recording
  }

  #malformed(why: string): SimError {
    const where = this.#lines === 0 ? '' : ` at line ${this.#lines}`
    return new SimError(
      'recording_malformed',
      `The recording ${this.#path} is not usable${where}: ${why}. Expected frames of Binance USD-M.`,
    )
  }
}
