import { type SegmentEnd, SegmentReader } from '../journal/mod.ts'
import type { Input } from '../session/mod.ts'
import { formatTimeUs } from '../ship/mod.ts'
import type { SegmentInspection } from './kinds.ts'

type Connection = {
  -readonly [K in keyof SegmentInspection['connections'][number]]: SegmentInspection['connections'][number][K]
}

/** Reads a journal segment to its end and counts what it holds. Throws the file system's errors. */
export async function inspectSegment(path: string): Promise<SegmentInspection> {
  const reader = await SegmentReader.open(path)
  const { header, checkpoint } = reader
  const count = new Count()
  const batches = reader.batches()
  let end: SegmentEnd | undefined
  while (end === undefined) {
    const next = await batches.next()
    if (next.done === true) end = next.value
    else for (const input of next.value) count.add(input)
  }
  return {
    kind: 'segment',
    path,
    bytes: reader.bytes,
    header:
      header === undefined
        ? null
        : {
            run: header.run,
            window: header.window,
            exchange: header.exchange,
            symbol: header.symbol,
            opened: formatTimeUs(header.openedAt),
            writtenBy: header.writtenBy,
            session: header.session,
            writer: header.writer,
          },
    checkpointBytes: checkpoint?.byteLength ?? 0,
    inputs: Object.fromEntries(count.inputs),
    connections: [...count.connections.values()].sort((a, b) => a.connection - b.connection),
    first: count.first === undefined ? null : formatTimeUs(count.first),
    last: count.last === undefined ? null : formatTimeUs(count.last),
    end: endOf(end),
  }
}

/** What the inputs add up to. */
class Count {
  readonly inputs = new Map<string, number>()
  readonly connections = new Map<number, Connection>()
  first: number | undefined
  last: number | undefined

  add(input: Input): void {
    this.first ??= input.received
    this.last = input.received
    this.inputs.set(input.kind, (this.inputs.get(input.kind) ?? 0) + 1)
    if (!('connection' in input)) return
    const connection = this.#connection(input.connection)
    if (input.kind === 'message') {
      connection.messages++
      connection.payloadBytes += input.payload.byteLength
    } else if (input.kind === 'opened') {
      connection.route = input.route
      connection.opened = formatTimeUs(input.received)
    } else {
      connection.closed = formatTimeUs(input.received)
      connection.why = `${input.code} ${input.reason}`.trim()
    }
  }

  #connection(number: number): Connection {
    let connection = this.connections.get(number)
    if (connection === undefined) {
      const never = { route: null, opened: null, closed: null, why: null }
      connection = { connection: number, ...never, messages: 0, payloadBytes: 0 }
      this.connections.set(number, connection)
    }
    return connection
  }
}

function endOf(end: SegmentEnd): SegmentInspection['end'] {
  if (end.end !== 'sealed') return end
  const { closedAt, reason, stateHash } = end.trailer
  return { end: 'sealed', closed: formatTimeUs(closedAt), reason, stateHash }
}
