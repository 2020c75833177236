import type { Stream } from '../../api/streams.ts'

/** A frame that does not decode. `stream` is the stream it belongs to, where that much was readable. */
export class ProtocolError extends Error {
  readonly code = 'ProtocolError'
  stream: Stream | undefined

  constructor(message: string, stream?: Stream) {
    super(message)
    this.name = 'ProtocolError'
    this.stream = stream
  }
}

/** A price or quantity with more significant digits than a double holds exactly. */
export class PrecisionError extends Error {
  readonly code = 'PrecisionError'

  constructor(text: string) {
    super(`"${text}" has more than 15 significant digits: float64 would not hold it exactly`)
    this.name = 'PrecisionError'
  }
}
