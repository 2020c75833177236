/** What /status answers, and what a capture tells the command line. */
export interface CaptureStatus {
  readonly version: string
  readonly run: string
  readonly exchange: string
  readonly symbol: string
  readonly state: string
  /** RFC 3339; empty before the first connection. */
  readonly since: string
  /** Why the last live book ended; empty before the first gap. */
  readonly reason: string
  readonly streams: Readonly<Record<string, StreamStatus>>
  readonly gaps: number
  readonly connections: readonly {
    readonly route: string
    readonly state: string
    readonly since: number
    readonly why: string
  }[]
  readonly spool: {
    readonly bytes: number
    readonly unshippedBytes: number
    readonly quarantinedBytes: number
    readonly windowsWaiting: number
  }
  readonly ship: {
    readonly state: string
    readonly reason: string | null
    readonly lastCommit: string | null
  }
  readonly clock: { readonly offsetMs: number | null }
  readonly halts: readonly { readonly reason: string; readonly at: string }[]
}

export interface StreamStatus {
  readonly state: string
  readonly lastId: string
  readonly lastReceived: string | null
  readonly rows: number
}
