/**
 * The manifest: one plain JSON object a window, whose presence in the bucket is the commit.
 * Its bytes are canonical (keys in the order of the schema, no spaces, UTF-8), so that equal manifests are
 * equal bytes and `sha256` vouches for every one of them. Names are snake_case: readers are SQL and Python.
 */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { RUN_PATTERN } from '../../api/names.ts'
import { END_REASONS, HALT_EXIT_CODES, type HaltReason } from '../../api/reasons.ts'
import { EXCHANGE_PATTERN, manifestKey, parseObjectKey, STREAM_PATTERN } from './keys.ts'
import { isTimeText, parseTimeUs } from './time.ts'

export const MANIFEST_FORMAT = 1
/** Far above any honest manifest; a bucket that answers with more is not believed. */
export const MANIFEST_BYTES_MAX = 64 * 1024 * 1024
const OBJECTS_MAX = 64
const COVERAGE_ROWS_MAX = 100_000
const COUNTS_MAX = 256
const TEXT_LENGTH_MAX = 1024

const HALT_REASONS = Object.keys(HALT_EXIT_CODES) as HaltReason[]

/** Lone surrogates have no UTF-8, and JSON libraries escape them in different ways. */
const text = z
  .string()
  .max(TEXT_LENGTH_MAX)
  .refine((value) => value.isWellFormed(), 'expected valid Unicode')
const count = z.number().int().min(0)
const time = z.string().refine(isTimeText, 'expected a time such as 2026-11-22T12:04:57.123456Z')
const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
/** JSON numbers are doubles to most readers: what may pass 2^53 travels as a string. */
const integer64 = z.string().regex(/^(0|[1-9]\d{0,18})$/)

const objectSchema = z.strictObject({
  stream: z.string().regex(STREAM_PATTERN),
  key: text,
  bytes: count,
  rows: count,
  sha256,
  first_seq: integer64,
  last_seq: integer64,
  first_id: integer64,
  last_id: integer64,
  /** Receive times of the first and last row; null in an object without rows. */
  first_time: time.nullable(),
  last_time: time.nullable(),
})

const coverageSchema = z.strictObject({
  of_stream: z.string().regex(STREAM_PATTERN),
  from: time,
  to: time,
  prev_id: integer64,
  first_id: integer64,
  last_id: integer64,
  rows: count,
  state: z.enum(['proven', 'observed', 'suspect']),
  ended_by: z.enum([...END_REASONS, ...HALT_REASONS]).nullable(),
  detail: text,
  seq: integer64,
  connection: count,
})

/** `uid` is that of the capture (the resource), `pod_uid` that of the pod: a successor finds its predecessor by it. */
const writerSchema = z.strictObject({
  capture: text,
  uid: text,
  pod: text,
  pod_uid: text.optional(),
  node: text,
})
const predecessorSchema = z.strictObject({ pod: text, uid: text })
/** A row by what it is told from a later one: its id (0 where the stream has none) and the exchange's own time of it. */
const positionSchema = z.strictObject({ id: integer64, time })
/** A stream that is absent has no row yet. */
const positionsSchema = z.strictObject({
  books: positionSchema.optional(),
  depth: positionSchema.optional(),
  trades: positionSchema.optional(),
  mark_price: positionSchema.optional(),
})

const fieldsSchema = z.strictObject({
  format: z.literal(MANIFEST_FORMAT),
  exchange: z.string().regex(EXCHANGE_PATTERN),
  symbol: text,
  run: z.string().regex(RUN_PATTERN),
  window: count,
  opened: time,
  closed: time,
  objects: z.array(objectSchema).min(1).max(OBJECTS_MAX).readonly(),
  coverage: z.array(coverageSchema).max(COVERAGE_ROWS_MAX).readonly(),
  counts: z.record(z.string().regex(/^[a-z][a-z0-9_]{0,63}$/), count).readonly(),
  witness: z.enum(['replayed', 'none', 'other_version']),
  written_by: text,
  recorded_by: text,
  writer: writerSchema,
  predecessor: predecessorSchema.nullable(),
  final: z.boolean(),
  overlaps: z.boolean(),
  /** What was published before this run, by whoever: rows up to it were left out. Null where nothing was. */
  cut: positionsSchema.nullable().optional(),
  /** The last rows published up to this window, by this run or those before it: where a successor cuts. */
  reached: positionsSchema.optional(),
})
const manifestSchema = fieldsSchema.extend({ sha256 })

/** One data object of a window. */
export type ManifestObject = Readonly<z.infer<typeof objectSchema>>
/** One coverage row, as in the coverage object. */
export type ManifestCoverage = Readonly<z.infer<typeof coverageSchema>>
/** By stream, the last row of some part of the data. */
export type Positions = Readonly<z.infer<typeof positionsSchema>>
export const Positions: z.ZodType<Positions> = positionsSchema
/** A manifest without its hash: what the recorder fills in. */
export type ManifestFields = Readonly<z.infer<typeof fieldsSchema>>
/** A manifest whose hash was made, or proven, here. */
export type Manifest = Readonly<z.infer<typeof manifestSchema>>

export type ManifestErrorCode = 'manifest_invalid' | 'manifest_unreadable' | 'manifest_altered'

/** `invalid`: refused before sealing; `unreadable`: no manifest at all; `altered`: its hash speaks against it. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError'
  readonly code: ManifestErrorCode

  constructor(code: ManifestErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options)
    this.code = code
  }
}

/** Checks the fields and adds their hash. Throws ManifestError `manifest_invalid`. */
export function sealManifest(fields: ManifestFields): Manifest {
  const checked = fieldsSchema.safeParse(fields)
  if (!checked.success) {
    throw new ManifestError('manifest_invalid', `the manifest cannot be sealed: ${issues(checked.error)}`)
  }
  const fault = inconsistency(checked.data)
  if (fault !== undefined)
    throw new ManifestError('manifest_invalid', `the manifest cannot be sealed: ${fault}`)
  return { ...checked.data, sha256: hash(canonical(checked.data)) }
}

/** The manifest's canonical bytes: what is sealed, uploaded and compared. */
export function serialiseManifest(manifest: Manifest): Buffer {
  const fields = canonical(manifest)
  return Buffer.from(`${fields.slice(0, -1)},"sha256":${JSON.stringify(manifest.sha256)}}`, 'utf8')
}

/**
 * Reads a manifest and proves it: its hash, and that its bytes are the canonical ones, so that no byte
 * of it is out of the hash's reach. Throws ManifestError `manifest_unreadable` or `manifest_altered`.
 */
export function parseManifest(bytes: Uint8Array): Manifest {
  const parsed = manifestSchema.safeParse(parseJson(bytes))
  if (!parsed.success) {
    throw new ManifestError('manifest_unreadable', `not a manifest of format 1: ${issues(parsed.error)}`)
  }
  const manifest = parsed.data
  const found = hash(canonical(manifest))
  if (found !== manifest.sha256) {
    throw new ManifestError(
      'manifest_altered',
      `the manifest was altered: its fields hash to ${found}, it says ${manifest.sha256}`,
    )
  }
  if (!serialiseManifest(manifest).equals(bytes)) {
    throw new ManifestError(
      'manifest_altered',
      'the manifest was altered: its bytes are not the canonical ones',
    )
  }
  const fault = inconsistency(manifest)
  if (fault !== undefined) throw new ManifestError('manifest_unreadable', fault)
  return manifest
}

/** The key under which a manifest is committed: beside its own objects. */
export function keyOfManifest(manifest: ManifestFields): string {
  const key = parseObjectKey(manifest.objects[0]?.key ?? '')
  if (key === undefined) {
    throw new ManifestError('manifest_invalid', 'the manifest names no object from which its key follows')
  }
  return manifestKey({ ...key, openedUs: parseTimeUs(manifest.opened) })
}

function parseJson(bytes: Uint8Array): unknown {
  if (bytes.byteLength > MANIFEST_BYTES_MAX) {
    const limit = `${bytes.byteLength} bytes, at most ${MANIFEST_BYTES_MAX}`
    throw new ManifestError('manifest_unreadable', `too large for a manifest: ${limit}`)
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
  } catch (cause) {
    throw new ManifestError('manifest_unreadable', 'not JSON in UTF-8', { cause })
  }
}

/** What the schema cannot say: a manifest speaks of its own window alone. */
function inconsistency(manifest: ManifestFields): string | undefined {
  if (Object.keys(manifest.counts).length > COUNTS_MAX) return `more than ${COUNTS_MAX} counts`
  if (parseTimeUs(manifest.closed) < parseTimeUs(manifest.opened)) return 'it closes before it opens'
  const seen = new Set<string>()
  const prefix = parseObjectKey(manifest.objects[0]?.key ?? '')?.prefix
  const openedSecond = Math.floor(parseTimeUs(manifest.opened) / 1e6) * 1e6
  for (const object of manifest.objects) {
    const key = parseObjectKey(object.key)
    const { exchange, symbol, run, window } = manifest
    const own =
      key?.exchange === exchange && key.symbol === symbol && key.run === run && key.window === window
    if (!own || key.stream !== object.stream || key.prefix !== prefix || key.openedUs !== openedSecond) {
      return `the object "${object.key}" is not of stream ${object.stream} of this window`
    }
    if (seen.has(object.stream)) return `stream ${object.stream} has two objects`
    seen.add(object.stream)
    if (object.rows > 0 && (object.first_time === null || object.last_time === null)) {
      return `stream ${object.stream} has rows but no times`
    }
  }
  return undefined
}

/** All fields but the hash, in the schema's order; counts by name. */
function canonical(manifest: ManifestFields): string {
  const names = Object.keys(manifest.counts).sort()
  return JSON.stringify(
    ordered(fieldsSchema, {
      ...manifest,
      objects: manifest.objects.map((object) => ordered(objectSchema, object)),
      coverage: manifest.coverage.map((row) => ordered(coverageSchema, row)),
      counts: Object.fromEntries(names.map((name) => [name, manifest.counts[name]])),
      writer: ordered(writerSchema, manifest.writer),
      predecessor: manifest.predecessor === null ? null : ordered(predecessorSchema, manifest.predecessor),
      cut: manifest.cut && orderedPositions(manifest.cut),
      reached: manifest.reached && orderedPositions(manifest.reached),
    }),
  )
}

function orderedPositions(positions: Positions): Record<string, unknown> {
  const each = Object.entries(positions).map(
    ([stream, position]) => [stream, position && ordered(positionSchema, position)] as const,
  )
  return ordered(positionsSchema, Object.fromEntries(each))
}

function ordered(schema: z.ZodObject, value: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.keys(schema.shape).map((name) => [name, value[name]]))
}

function hash(fields: string): string {
  return createHash('sha256').update(fields, 'utf8').digest('hex')
}

function issues(error: z.ZodError): string {
  const shown = error.issues.slice(0, 3).map((issue) => `${issue.path.join('.') || 'it'}: ${issue.message}`)
  return shown.join('; ')
}
