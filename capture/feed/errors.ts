export type FeedErrorCode =
  | 'EndpointInvalid'
  | 'ShareInvalid'
  | 'FeedStarted'
  | 'SnapshotInBand'
  | 'RouteUnknown'

/** A feed that was called or configured wrongly. What the outside world does is never an error: it is an input. */
export class FeedError extends Error {
  override readonly name = 'FeedError'
  readonly code: FeedErrorCode

  constructor(code: FeedErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
