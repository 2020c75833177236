/** The bodies of S3's replies. */
import type { Listed } from './objects.ts'

const HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'

export function errorXml(code: string): string {
  return `${HEAD}<Error><Code>${code}</Code><Message>made by the evil store</Message><RequestId>0</RequestId></Error>`
}

export function listXml(
  bucket: string,
  prefix: string,
  page: { readonly found: readonly Listed[]; readonly more: boolean },
): string {
  const next = page.found.at(-1)?.key
  const contents = page.found.map(
    ({ key, bytes }) =>
      `<Contents><Key>${escaped(key)}</Key><Size>${bytes}</Size>` +
      '<LastModified>2026-11-22T12:00:00.000Z</LastModified></Contents>',
  )
  const token =
    page.more && next !== undefined ? `<NextContinuationToken>${escaped(next)}</NextContinuationToken>` : ''
  return (
    `${HEAD}<ListBucketResult><Name>${bucket}</Name><Prefix>${escaped(prefix)}</Prefix>` +
    `<KeyCount>${page.found.length}</KeyCount><IsTruncated>${page.more}</IsTruncated>${token}` +
    `${contents.join('')}</ListBucketResult>`
  )
}

export const PORTAL = '<!doctype html><html><body><h1>Please sign in to the network</h1></body></html>'

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
