import { z } from 'zod'
import { Guards } from '../../api/spec.ts'
import { STREAMS } from '../../api/streams.ts'

/**
 * What a session needs to know besides its inputs. It stands in the header of every journal segment, so that a
 * segment can be replayed by itself.
 */
export const SessionConfig = z.strictObject({
  exchange: z.string(),
  symbol: z.string(),
  streams: z.array(z.enum(STREAMS)).min(1),
  bookLevels: z.int().min(1).max(50),
  guards: Guards,
})
export type SessionConfig = z.infer<typeof SessionConfig>
