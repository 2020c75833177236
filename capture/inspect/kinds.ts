/** What an inspection finds, as plain data: JSON holds it as it is. Times are RFC 3339, 64-bit numbers strings. */
import type { Manifest } from '../ship/mod.ts'

export type Inspection = ParquetInspection | ManifestInspection | SegmentInspection | UnknownInspection

/** A value of a row: 64-bit integers and times are strings. */
export type Cell = string | number | boolean | null

export interface ParquetInspection {
  readonly kind: 'parquet'
  readonly path: string
  readonly bytes: number
  readonly createdBy: string
  /** Key-value metadata as it is. */
  readonly metadata: Readonly<Record<string, string>>
  readonly rows: number
  readonly rowGroups: readonly { readonly rows: number; readonly compressedBytes: number }[]
  readonly columns: readonly { readonly name: string; readonly type: string; readonly nullable: boolean }[]
  /** Names of the columns in `first` and `last`: the main ones. */
  readonly shown: readonly string[]
  readonly first: readonly (readonly Cell[])[]
  /** Rows at the end that are not in `first`. */
  readonly last: readonly (readonly Cell[])[]
}

export interface ManifestInspection {
  readonly kind: 'manifest'
  readonly path: string
  readonly bytes: number
  /** Its hash vouches for every byte of it. */
  readonly intact: boolean
  /** Why it is not; null where it is. */
  readonly fault: string | null
  /** Null where it is not intact. */
  readonly manifest: Manifest | null
}

export interface SegmentInspection {
  readonly kind: 'segment'
  readonly path: string
  readonly bytes: number
  /** Null where the file ends, or is damaged, before its header is whole. */
  readonly header: {
    readonly run: string
    readonly window: number
    readonly exchange: string
    readonly symbol: string
    readonly opened: string
    readonly writtenBy: string
    readonly session: unknown
    readonly writer: Readonly<Record<string, string | undefined>>
  } | null
  readonly checkpointBytes: number
  /** Inputs by kind. */
  readonly inputs: Readonly<Record<string, number>>
  readonly connections: readonly {
    readonly connection: number
    /** Null where it was opened in an earlier window. */
    readonly route: string | null
    readonly opened: string | null
    readonly closed: string | null
    readonly why: string | null
    readonly messages: number
    readonly payloadBytes: number
  }[]
  /** Receive times of the first and last input; null without any. */
  readonly first: string | null
  readonly last: string | null
  readonly end:
    | { readonly end: 'sealed'; readonly closed: string; readonly reason: string; readonly stateHash: string }
    | { readonly end: 'torn'; readonly goodBytes: number; readonly tailBytes: number }
    | { readonly end: 'corrupt'; readonly goodBytes: number; readonly detail: string }
}

export interface UnknownInspection {
  readonly kind: 'unknown'
  readonly path: string
  readonly bytes: number
  /** What it is not, and what it may be. */
  readonly message: string
}
