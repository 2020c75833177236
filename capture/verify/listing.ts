/** What lies in a bucket: its markets, their manifests by run and window, and objects that nothing names. */
import { type Bucket, manifestKey, type ObjectKey, parseManifestKey, parseObjectKey } from '../ship/mod.ts'

/** One symbol under one prefix. */
export interface Market {
  readonly prefix: string
  readonly exchange: string
  /** As the exchange spells it. */
  readonly symbol: string
  /** Where its manifests and its data lie, each ending in a slash. */
  readonly manifestFolder: string
  readonly parquetFolder: string
}

export interface Markets {
  readonly markets: readonly Market[]
  /** Keys under `manifest/` or `parquet/` that lie in no market's folder. */
  readonly strays: readonly string[]
}

const FOLDER_PATTERN = /^((?:.+\/)?)(manifest|parquet)\/(exchange=([^/]+)\/symbol=([^/]+)\/)/
const STRAY_PATTERN = /(?:^|\/)(?:manifest\/.*\.json|parquet\/.*\.parquet)$/
const QUARANTINE_PATTERN = /(?:^|\/)quarantine\//

/** One pass over all keys; keeps what grows with the number of markets alone. */
export async function findMarkets(bucket: Bucket): Promise<Markets> {
  const found = new Map<string, Market | undefined>()
  const strays: string[] = []
  for await (const { key } of bucket.list('')) {
    if (isLeftAlone(key)) continue
    const match = FOLDER_PATTERN.exec(key)
    const [, root = '', , folder = '', exchange = '', encoded = ''] = match ?? []
    const name = `${root}${folder}`
    if (match !== null && !found.has(name)) found.set(name, marketOf(root, folder, exchange, encoded))
    if (found.get(name) === undefined && STRAY_PATTERN.test(key)) strays.push(key)
  }
  return { markets: [...found.values()].filter((market) => market !== undefined), strays }
}

/** Hand-over cuts, and what was set aside as damaged, are no part of the data. */
function isLeftAlone(key: string): boolean {
  return key.endsWith('.cut.json') || QUARANTINE_PATTERN.test(key)
}

/** Undefined where the folder's names are not spelt as a capture spells them. */
function marketOf(root: string, folder: string, exchange: string, encoded: string): Market | undefined {
  const prefix = root.slice(0, -1)
  const probe = `${root}manifest/${folder}date=1970-01-01/19700101T000000000Z-00000000-000000.json`
  const parsed = parseManifestKey(probe)
  if (parsed === undefined || parsed.exchange !== exchange || encodeURIComponent(parsed.symbol) !== encoded)
    return undefined
  return {
    prefix,
    exchange,
    symbol: parsed.symbol,
    manifestFolder: `${root}manifest/${folder}`,
    parquetFolder: `${root}parquet/${folder}`,
  }
}

/** A manifest that is listed. */
export interface ListedWindow {
  readonly window: number
  readonly key: string
}

export interface MarketManifests {
  /** Windows by run, oldest run first, windows ascending. */
  readonly runs: ReadonlyMap<string, readonly ListedWindow[]>
  /** JSON files with names that no manifest has. */
  readonly strays: readonly string[]
}

/** Lists the manifests of a market. */
export async function listManifests(bucket: Bucket, market: Market): Promise<MarketManifests> {
  const runs = new Map<string, ListedWindow[]>()
  const strays: string[] = []
  for await (const { key } of bucket.list(market.manifestFolder)) {
    if (isLeftAlone(key) || !key.endsWith('.json')) continue
    const parsed = parseManifestKey(key)
    if (parsed === undefined) {
      strays.push(key)
      continue
    }
    const windows = runs.get(parsed.run)
    if (windows === undefined) runs.set(parsed.run, [{ window: parsed.window, key }])
    else windows.push({ window: parsed.window, key })
  }
  for (const windows of runs.values()) windows.sort((a, b) => a.window - b.window || (a.key < b.key ? -1 : 1))
  return { runs: new Map([...runs].sort(([a], [b]) => (a < b ? -1 : 1))), strays }
}

/** Parquet objects of a market, with what their keys say; undefined where a key is not one of ours. */
export async function* listObjects(
  bucket: Bucket,
  market: Market,
): AsyncGenerator<{ readonly key: string; readonly parsed: ObjectKey | undefined }> {
  for await (const { key } of bucket.list(market.parquetFolder)) {
    if (!isLeftAlone(key) && key.endsWith('.parquet')) yield { key, parsed: parseObjectKey(key) }
  }
}

/** The key that a window's manifest would have, were it there. */
export function expectedManifestKey(market: Market, run: string, window: number, openedUs: number): string {
  const { prefix, exchange, symbol } = market
  return manifestKey({ prefix, exchange, symbol, run, window, openedUs })
}
