/** Manifests of a bucket: read, proven, and held against the keys that they lie under. */
import {
  type Bucket,
  MANIFEST_BYTES_MAX,
  type Manifest,
  ManifestError,
  manifestKey,
  parseManifest,
  parseObjectKey,
  parseTimeUs,
} from '../ship/mod.ts'
import { getWithin } from './fetch.ts'
import type { Market } from './listing.ts'
import type { Findings } from './report.ts'

/** Reads the manifest under a key; undefined where it is not there or not right, which is noted. */
export async function readManifest(
  bucket: Bucket,
  market: Market,
  key: string,
  findings: Findings,
): Promise<Manifest | undefined> {
  const bytes = await getWithin(bucket, key, MANIFEST_BYTES_MAX)
  if (bytes === 'too_large') {
    findings.note('manifest_unreadable', key, `it has more than ${MANIFEST_BYTES_MAX} bytes`)
    return undefined
  }
  if (bytes === undefined) {
    findings.note('manifest_missing', key, 'it was listed, and is gone')
    return undefined
  }
  try {
    const manifest = parseManifest(bytes)
    const { exchange, symbol, run, window, opened } = manifest
    const own = manifestKey({
      prefix: market.prefix,
      exchange,
      symbol,
      run,
      window,
      openedUs: parseTimeUs(opened),
    })
    if (own === key) return manifest
    findings.note('manifest_altered', key, `it is the manifest of ${own}, under the key of another one`)
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error
    const kind = error.code === 'manifest_altered' ? 'manifest_altered' : 'manifest_unreadable'
    findings.note(kind, key, error.message)
  }
  return undefined
}

/**
 * Translates the keys in a manifest to those in this bucket: data that was copied to another prefix is found beside
 * its manifest.
 */
export function keysBeside(market: Market, manifest: Manifest): (key: string) => string {
  const written = parseObjectKey(manifest.objects[0]?.key ?? '')?.prefix ?? ''
  if (written === market.prefix) return (key) => key
  const from = written === '' ? 0 : written.length + 1
  const to = market.prefix === '' ? '' : `${market.prefix}/`
  return (key) => `${to}${key.slice(from)}`
}
