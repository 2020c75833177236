/** What settings are called where the reader of a message gave them: in a specification, or on a command line. */

export interface Words {
  readonly endpoint: string
  readonly region: string
  readonly bucket: string
  /** Where the certificate of a private authority is given. */
  readonly ca: string
  /** What makes addresses `https://host/bucket/key`. */
  readonly pathStyle: string
  /** Rights to objects that are needed. */
  readonly rights: string
}

export const SPEC_WORDS: Words = {
  endpoint: 'storage.s3.endpoint',
  region: 'storage.s3.region',
  bucket: 'storage.s3.bucket',
  ca: 'storage.s3.caSecretName (outside of a cluster: AWS_CA_BUNDLE)',
  pathStyle: 'storage.s3.forcePathStyle',
  rights: 's3:PutObject, s3:GetObject',
}

/** Of commands that read s3://bucket/prefix. */
export const CALL_WORDS: Words = {
  endpoint: '--s3-endpoint (or AWS_ENDPOINT_URL_S3)',
  region: '--s3-region (or AWS_REGION)',
  bucket: 'the bucket in s3://bucket/prefix',
  ca: '--s3-ca (or AWS_CA_BUNDLE)',
  pathStyle: 'no --s3-virtual-host',
  rights: 's3:GetObject',
}

/** The text with each `{setting}` as it is called there. Other braces stay. */
export function inWords(text: string, words: Words): string {
  return text.replace(/\{([a-zA-Z]+)\}/g, (whole, name: string) => wordOf(name, words) ?? whole)
}

function wordOf(name: string, words: Words): string | undefined {
  return Object.hasOwn(words, name) ? words[name as keyof Words] : undefined
}
