/** One watch: a stream of lines, each an event, until the server or our patience ends it. */
import { ApiError, codeOf, readStatus } from './errors.ts'
import { partOf, textOf } from './objects.ts'
import type { KubeClient, Query } from './rest.ts'
import type { Timers } from './time.ts'

export type WatchEvent<T> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T; readonly version: string }
  | { readonly type: 'BOOKMARK'; readonly version: string }

export interface WatchCall {
  readonly path: string
  readonly query: Query
  /** Only what comes after this version. */
  readonly version: string
  /** How long the server is to keep the watch. */
  readonly timeoutSeconds: number
  /** Silence after which the stream is taken for dead. */
  readonly idleMs: number
  readonly signal: AbortSignal
}

/** How a watch ended in order: the server closed it, it was silent for too long, or its signal aborted. */
export type WatchEnd = 'closed' | 'idle' | 'aborted'

/** An event holds one object, and etcd takes none above 1.5 MB. */
const LINE_BYTES_MAX = 16 * 1024 * 1024
const OPEN_DEADLINE_MS = 30_000

/**
 * Calls `opened` when the server has accepted, then `onEvent` for each event in turn; no more is read from the socket
 * than is handled. Throws ApiError for a refusal, for a broken or unreadable stream, and for an ERROR event (`Gone`
 * where history is lost), after which the stream is over. What `onEvent` throws comes through.
 */
export async function watchOnce<T>(
  client: KubeClient,
  timers: Timers,
  call: WatchCall,
  opened: () => void,
  onEvent: (event: WatchEvent<T>) => void,
): Promise<WatchEnd> {
  const idle = new AbortController()
  const signal = AbortSignal.any([call.signal, idle.signal])
  const body = await client.open({
    method: 'GET',
    path: call.path,
    query: {
      ...call.query,
      watch: true,
      allowWatchBookmarks: true,
      resourceVersion: call.version,
      timeoutSeconds: call.timeoutSeconds,
    },
    deadlineMs: OPEN_DEADLINE_MS,
    signal,
  })
  opened()
  let cancel = timers.after(call.idleMs, () => idle.abort())
  const lines = new LineSplitter(call.path)
  try {
    for await (const chunk of body) {
      cancel()
      cancel = timers.after(call.idleMs, () => idle.abort())
      for (const line of lines.push(chunk)) {
        onEvent(eventOf<T>(call.path, line))
        if (signal.aborted) return endOf(call.signal)
      }
    }
    lines.end()
    return 'closed'
  } catch (error) {
    if (signal.aborted) return endOf(call.signal)
    if (error instanceof ApiError) throw error
    throw new ApiError({
      code: 'Network',
      message: `watch ${call.path}: the stream broke: ${String(error)}`,
      cause: error,
    })
  } finally {
    cancel()
    body.destroy()
  }
}

function endOf(signal: AbortSignal): WatchEnd {
  return signal.aborted ? 'aborted' : 'idle'
}

const NEWLINE = 0x0a

/** Cuts chunks into lines. Bytes, not text: a chunk may end inside a character. */
class LineSplitter {
  readonly #path: string
  #parts: Uint8Array[] = []
  #bytes = 0

  constructor(path: string) {
    this.#path = path
  }

  push(chunk: Uint8Array): string[] {
    const lines: string[] = []
    let from = 0
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      this.#keep(chunk.subarray(from, at))
      from = at + 1
      const line = Buffer.concat(this.#parts).toString('utf8')
      this.#parts = []
      this.#bytes = 0
      if (line.trim() !== '') lines.push(line)
    }
    this.#keep(chunk.subarray(from))
    return lines
  }

  /** A stream that ends inside a line was cut. */
  end(): void {
    if (this.#bytes > 0) throw unreadable(this.#path, `its last line of ${this.#bytes} bytes was cut`)
  }

  #keep(part: Uint8Array): void {
    if (part.length === 0) return
    this.#bytes += part.length
    if (this.#bytes > LINE_BYTES_MAX) throw unreadable(this.#path, `a line has over ${LINE_BYTES_MAX} bytes`)
    this.#parts.push(part)
  }
}

function eventOf<T>(path: string, line: string): WatchEvent<T> {
  let event: unknown
  try {
    event = JSON.parse(line)
  } catch {
    throw unreadable(path, `a line of ${line.length} characters is no JSON`)
  }
  const type = partOf(event, 'type')
  const object = partOf(event, 'object')
  if (type === 'ERROR') throw errorOfEvent(path, object)
  const version = textOf(partOf(object, 'metadata'), 'resourceVersion')
  if (version === undefined) throw unreadable(path, 'an event has no resourceVersion')
  switch (type) {
    case 'BOOKMARK':
      return { type, version }
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      return { type, object: object as T, version }
    default:
      throw unreadable(path, `an event is of the unknown type ${JSON.stringify(type)}`)
  }
}

/** A Status that comes as an event: the watch cannot go on, mostly since its history is gone (410). */
function errorOfEvent(path: string, status: unknown): ApiError {
  const { reason, message } = readStatus(status)
  const code = partOf(status, 'code')
  const http = typeof code === 'number' ? code : 500
  return new ApiError({
    code: codeOf(http, reason),
    status: http,
    reason,
    message: `watch ${path}: the server ended it: ${http} ${reason}: ${message}`,
  })
}

function unreadable(path: string, why: string): ApiError {
  return new ApiError({ code: 'BadAnswer', message: `watch ${path}: the stream cannot be read: ${why}` })
}
