import { z } from 'zod'

/**
 * What a process answers to /status, as far as others rely on it. Lenient: the operator reads the previous version's
 * too, so that whatever may be missing has a default, and what is unknown is let through.
 */
export const ProcessStatus = z.looseObject({
  version: z.string().default(''),
  symbol: z.string().default(''),
  /** The pod that answers; empty where it is none, or of a version that does not say. */
  writer: z.looseObject({ pod: z.string().default(''), podUid: z.string().default('') }).prefault({}),
  state: z.string().default(''),
  since: z.string().default(''),
  reason: z.string().default(''),
  why: z.string().default(''),
  /** By the name of the stream in paths. */
  streams: z
    .record(z.string(), z.looseObject({ lastReceived: z.string().nullable().default(null) }))
    .default({}),
  spool: z
    .looseObject({
      bytes: z.number().default(0),
      unshippedBytes: z.number().default(0),
      quarantinedBytes: z.number().default(0),
      oldest: z.string().nullable().default(null),
    })
    .prefault({}),
  ship: z
    .looseObject({
      state: z.string().default(''),
      reason: z.string().nullable().default(null),
      lastCommit: z.string().nullable().default(null),
    })
    .prefault({}),
})
export type ProcessStatus = z.infer<typeof ProcessStatus>

/** Reads the body of /status. Throws SyntaxError or ZodError for what is none. */
export function parseProcessStatus(text: string): ProcessStatus {
  return ProcessStatus.parse(JSON.parse(text))
}
