/** What lies in a bucket: its markets, what they hold by day, and objects whose names are nobody's. */
import { type Bucket, manifestKey, type ObjectKey, parseManifestKey, parseObjectKey } from '../ship/mod.ts'

/** One symbol under one prefix. What it holds is told by days and streams: nothing here grows with its windows. */
export interface Market {
  readonly prefix: string
  readonly exchange: string
  /** As the exchange spells it. */
  readonly symbol: string
  /** Where its manifests and its data lie, each ending in a slash. */
  readonly manifestFolder: string
  readonly parquetFolder: string
  /** Manifests that were listed. */
  readonly manifests: number
  /** Days of manifests or objects, as in the keys, ascending. */
  readonly days: readonly string[]
  /** Streams of objects, as in the keys. */
  readonly streams: readonly string[]
}

export interface Markets {
  readonly markets: readonly Market[]
  /** Keys under `manifest/` or `parquet/` whose names no capture gives. */
  readonly strays: readonly string[]
}

/** A market while its keys are counted. */
interface Counted {
  readonly market: Pick<Market, 'prefix' | 'exchange' | 'symbol' | 'manifestFolder' | 'parquetFolder'>
  manifests: number
  readonly days: Set<string>
  readonly streams: Set<string>
}

const FOLDER_PATTERN = /^((?:.+\/)?)(manifest|parquet)\/(exchange=([^/]+)\/symbol=([^/]+)\/)(.*)$/
const STRAY_PATTERN = /(?:^|\/)(?:manifest\/.*\.json|parquet\/.*\.parquet)$/
const QUARANTINE_PATTERN = /(?:^|\/)quarantine\//
const DAY_PATTERN = /(?:^|\/)date=([^/]+)\/[^/]+$/

/** One pass over all keys; keeps what grows with the number of markets, days and strays alone. */
export async function findMarkets(bucket: Bucket): Promise<Markets> {
  const found = new Map<string, Counted | undefined>()
  const strays: string[] = []
  for await (const { key } of bucket.list('')) {
    if (isLeftAlone(key)) continue
    const [, root = '', top = '', folder = '', exchange = '', encoded = '', rest = ''] =
      FOLDER_PATTERN.exec(key) ?? []
    const name = `${root}${folder}`
    if (folder !== '' && !found.has(name)) found.set(name, marketOf(root, folder, exchange, encoded))
    const counted = found.get(name)
    if (counted !== undefined && count(counted, top, key, rest)) continue
    if (STRAY_PATTERN.test(key)) strays.push(key)
  }
  const markets: Market[] = []
  for (const counted of found.values()) {
    if (counted === undefined) continue
    const { market, manifests, days, streams } = counted
    markets.push({ ...market, manifests, days: [...days].sort(), streams: [...streams].sort() })
  }
  return { markets, strays }
}

/** Takes a key into account; false where its name is none of a manifest or object. */
function count(counted: Counted, top: string, key: string, rest: string): boolean {
  const day = DAY_PATTERN.exec(rest)?.[1]
  if (day === undefined) return false
  if (top === 'manifest') {
    if (parseManifestKey(key) === undefined) return false
    counted.manifests++
  } else {
    const parsed = parseObjectKey(key)
    if (parsed === undefined) return false
    counted.streams.add(parsed.stream)
  }
  counted.days.add(day)
  return true
}

/** Hand-over cuts, and what was set aside as damaged, are no part of the data. */
function isLeftAlone(key: string): boolean {
  return key.endsWith('.cut.json') || QUARANTINE_PATTERN.test(key)
}

/** Undefined where the folder's names are not spelt as a capture spells them. */
function marketOf(root: string, folder: string, exchange: string, encoded: string): Counted | undefined {
  const prefix = root.slice(0, -1)
  const probe = `${root}manifest/${folder}date=1970-01-01/19700101T000000000Z-00000000-000000.json`
  const parsed = parseManifestKey(probe)
  if (parsed === undefined || parsed.exchange !== exchange || encodeURIComponent(parsed.symbol) !== encoded)
    return undefined
  const { symbol } = parsed
  const manifestFolder = `${root}manifest/${folder}`
  const parquetFolder = `${root}parquet/${folder}`
  return {
    market: { prefix, exchange, symbol, manifestFolder, parquetFolder },
    manifests: 0,
    days: new Set(),
    streams: new Set(),
  }
}

/** A manifest that is listed. */
export interface ListedWindow {
  readonly run: string
  readonly window: number
  readonly key: string
}

/** Manifests of one day: by run, oldest run first, windows ascending. */
export async function listManifests(bucket: Bucket, market: Market, day: string): Promise<ListedWindow[]> {
  const windows: ListedWindow[] = []
  for await (const { key } of bucket.list(`${market.manifestFolder}date=${day}/`)) {
    const parsed = isLeftAlone(key) ? undefined : parseManifestKey(key)
    if (parsed !== undefined) windows.push({ run: parsed.run, window: parsed.window, key })
  }
  return windows.sort((a, b) => (a.run < b.run ? -1 : a.run > b.run ? 1 : a.window - b.window))
}

/** Objects of one day, with what their keys say. */
export async function* listObjects(
  bucket: Bucket,
  market: Market,
  day: string,
): AsyncGenerator<{ readonly key: string; readonly parsed: ObjectKey }> {
  for (const stream of market.streams) {
    for await (const { key } of bucket.list(`${market.parquetFolder}stream=${stream}/date=${day}/`)) {
      const parsed = isLeftAlone(key) ? undefined : parseObjectKey(key)
      if (parsed !== undefined) yield { key, parsed }
    }
  }
}

/** The key that a window's manifest would have, were it there. */
export function expectedManifestKey(market: Market, run: string, window: number, openedUs: number): string {
  const { prefix, exchange, symbol } = market
  return manifestKey({ prefix, exchange, symbol, run, window, openedUs })
}
