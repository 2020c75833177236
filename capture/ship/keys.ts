/**
 * Keys of objects. The same layout in a local directory and in a bucket:
 *
 *   <prefix>/parquet/exchange=…/symbol=…/stream=…/date=YYYY-MM-DD/HHMMSSZ-<run>-000042.parquet
 *   <prefix>/manifest/exchange=…/symbol=…/date=YYYY-MM-DD/<run>-000042.json
 *   <prefix>/quarantine/exchange=…/symbol=…/<run>-000042.journal
 */
import { NameError, parseWindowName, type WindowId, windowName } from '../../api/names.ts'
import { dateOfUs, formatTimeUs, isTimeText, parseTimeUs } from './time.ts'

export const EXCHANGE_PATTERN = /^[A-Za-z][A-Za-z0-9]{0,63}$/
/** A stream's name in paths (`books20`); it is also the name of the sealed file. */
export const STREAM_PATTERN = /^[a-z][a-z0-9_]{0,63}$/
/** File systems end at 255 bytes a name; `symbol=` and room for a reader's suffix are taken off. */
const ENCODED_SYMBOL_BYTES_MAX = 240
const PREFIX_BYTES_MAX = 512

const OBJECT_KEY_PATTERN =
  /^(?:(.+)\/)?parquet\/exchange=([^/]+)\/symbol=([^/]+)\/stream=([^/]+)\/date=([^/]+)\/(\d{2})(\d{2})(\d{2})Z-([^/]+)\.parquet$/
const MANIFEST_KEY_PATTERN =
  /^(?:(.+)\/)?manifest\/exchange=([^/]+)\/symbol=([^/]+)\/date=([^/]+)\/([^/]+)\.json$/

/** Where the objects of a symbol lie. */
export interface MarketKey {
  /** Without slashes at its ends; empty where there is none. */
  readonly prefix: string
  readonly exchange: string
  /** As the exchange spells it, not encoded. */
  readonly symbol: string
}

/** What a manifest's key says. Read back from a key, `openedUs` is the start of the UTC day. */
export interface ManifestKey extends WindowId, MarketKey {
  /** When the window opened, microseconds since the Unix epoch. */
  readonly openedUs: number
}

/** What a data object's key says. Read back from a key, `openedUs` is cut to the second. */
export interface ObjectKey extends ManifestKey {
  readonly stream: string
}

/** The key of a data object. Throws NameError or TimeError. */
export function objectKey(parts: ObjectKey): string {
  if (!STREAM_PATTERN.test(parts.stream)) {
    throw new NameError(
      `"${parts.stream}" is no stream name: expected lower-case letters, digits, underscores`,
    )
  }
  const clock = formatTimeUs(parts.openedUs).slice(11, 19).replaceAll(':', '')
  const folder = `${market('parquet', parts)}/stream=${parts.stream}/date=${dateOfUs(parts.openedUs)}`
  return `${folder}/${clock}Z-${windowName(parts.run, parts.window)}.parquet`
}

/** The key of a window's manifest. Throws NameError or TimeError. */
export function manifestKey(parts: ManifestKey): string {
  const name = windowName(parts.run, parts.window)
  return `${market('manifest', parts)}/date=${dateOfUs(parts.openedUs)}/${name}.json`
}

/** Where the manifests of a day lie; `date` as in `2026-11-22`. Throws NameError. */
export function manifestFolder(parts: MarketKey, date: string): string {
  return `${market('manifest', parts)}/date=${date}/`
}

/** Reads a data object's key; undefined where the key is not one that `objectKey` makes. */
export function parseObjectKey(key: string): ObjectKey | undefined {
  const match = OBJECT_KEY_PATTERN.exec(key)
  if (match === null) return undefined
  const [
    ,
    prefix = '',
    exchange = '',
    encoded = '',
    stream = '',
    date = '',
    hour,
    minute,
    second,
    name = '',
  ] = match
  const window = parseWindowName(name)
  const symbol = decodeSymbol(encoded)
  const opened = `${date}T${hour}:${minute}:${second}.000000Z`
  if (window === undefined || symbol === undefined || !isTimeText(opened)) return undefined
  const parts = { prefix, exchange, symbol, stream, openedUs: parseTimeUs(opened), ...window }
  return spelt(() => objectKey(parts)) === key ? parts : undefined
}

/** Reads a manifest's key; undefined where the key is not one that `manifestKey` makes. */
export function parseManifestKey(key: string): ManifestKey | undefined {
  const match = MANIFEST_KEY_PATTERN.exec(key)
  if (match === null) return undefined
  const [, prefix = '', exchange = '', encoded = '', date = '', name = ''] = match
  const window = parseWindowName(name)
  const symbol = decodeSymbol(encoded)
  const opened = `${date}T00:00:00.000000Z`
  if (window === undefined || symbol === undefined || !isTimeText(opened)) return undefined
  const parts = { prefix, exchange, symbol, openedUs: parseTimeUs(opened), ...window }
  return spelt(() => manifestKey(parts)) === key ? parts : undefined
}

/** What is wrong with the parts of a relative key or prefix, in words; undefined where nothing is. */
export function keyFault(key: string): string | undefined {
  if (key === '') return 'it is empty'
  if (key.startsWith('/')) return 'it is absolute'
  for (const part of key.split('/')) {
    if (part === '') return 'it has an empty part'
    if (part === '.' || part === '..') return `it has a part "${part}"`
    // Control characters and backslashes mean different things to different file systems and tools.
    if (/[\p{Cc}\\]/u.test(part)) return 'it has a control character or a backslash'
  }
  return undefined
}

/** The key of a segment that no replay vouches for: shipped as it is, for people. Throws NameError. */
export function quarantineKey(parts: MarketKey, segmentFile: string): string {
  const key = `${market('quarantine', parts)}/${segmentFile}`
  const fault = keyFault(key)
  if (fault !== undefined) throw new NameError(`${segmentFile} cannot be shipped to quarantine: ${fault}`)
  return key
}

function market(kind: 'parquet' | 'manifest' | 'quarantine', parts: MarketKey): string {
  const { prefix, exchange, symbol } = parts
  const fault = prefix === '' ? undefined : keyFault(prefix)
  if (fault !== undefined) throw new NameError(`the prefix "${prefix}" cannot be used: ${fault}`)
  if (Buffer.byteLength(prefix) > PREFIX_BYTES_MAX) {
    throw new NameError(`the prefix has ${Buffer.byteLength(prefix)} bytes: at most ${PREFIX_BYTES_MAX}`)
  }
  if (!EXCHANGE_PATTERN.test(exchange)) {
    throw new NameError(`"${exchange}" is no exchange name: expected letters and digits, as in BinanceUsdm`)
  }
  const start = prefix === '' ? kind : `${prefix}/${kind}`
  return `${start}/exchange=${exchange}/symbol=${encodeSymbol(symbol)}`
}

function encodeSymbol(symbol: string): string {
  if (symbol === '' || !symbol.isWellFormed()) {
    throw new NameError(`the symbol ${JSON.stringify(symbol)} is empty or no valid Unicode`)
  }
  const encoded = encodeURIComponent(symbol)
  if (encoded.length > ENCODED_SYMBOL_BYTES_MAX) {
    throw new NameError(
      `the symbol "${symbol}" takes ${encoded.length} bytes in a path: at most ${ENCODED_SYMBOL_BYTES_MAX}`,
    )
  }
  return encoded
}

function decodeSymbol(encoded: string): string | undefined {
  try {
    return decodeURIComponent(encoded)
  } catch (error) {
    if (error instanceof URIError) return undefined
    throw error
  }
}

/** The key that `make` spells, or undefined where the parts cannot stand in a key. */
function spelt(make: () => string): string | undefined {
  try {
    return make()
  } catch (error) {
    if (error instanceof NameError) return undefined
    throw error
  }
}
