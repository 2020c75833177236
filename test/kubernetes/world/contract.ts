/** What the pod of the world and the tests agree on. */

/** Ports of the pod: the exchange, the S3 server, and the tests' own requests. */
export const PORTS = { exchange: 8000, s3: 9000, control: 7000 } as const

export const BUCKET = 'market-data'
/** Where objects lie in the pod; a volume. */
export const DATA_DIR = '/data'

/** JSON in the environment, as this variable. */
export const WORLD_ENV = 'L2CAP_WORLD'
export interface WorldOptions {
  readonly accessKey: string
  readonly secretKey: string
  /** Of the generated market: symbols, seed, rate, … */
  readonly market: { readonly seed: number; readonly symbols: readonly string[] }
}
