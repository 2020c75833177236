import type { V1ObjectMeta } from '@kubernetes/client-node'
import { z } from 'zod'
import { CONDITION_TYPES, SYMBOL_STATES } from './conditions.ts'
import type { CaptureSpec } from './spec.ts'

/** The L2Capture as the API server stores it: what `status` may hold, bounded like everything else. */

export const ATTENTION_MAX = 50
const CONDITIONS_MAX = 16
export const ATTENTION_MESSAGE_LENGTH_MAX = 512
export const CONDITION_MESSAGE_LENGTH_MAX = 4096
export const REASON_LENGTH_MAX = 64
const POD_NAME_LENGTH_MAX = 253

const count = z.int().min(0).max(2_147_483_647)
const generation = z.int().min(0)
const time = z.iso.datetime({ offset: true }).max(40)

/** One entry a key: another writer of the same key replaces it. */
const asMap = (key: string) => ({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [key] })

export const AttentionEntry = z
  .strictObject({
    symbol: z.string().max(64).describe('The symbol that is not live.'),
    state: z
      .string()
      .max(32)
      .describe(`What it is instead: ${SYMBOL_STATES.filter((state) => state !== 'Live').join(', ')}.`),
    reason: z.string().max(REASON_LENGTH_MAX).describe('Why, as one word.'),
    message: z.string().max(ATTENTION_MESSAGE_LENGTH_MAX).describe('Why, as a sentence.'),
    since: time.describe('Since when it is so.'),
    restarts: count.describe('How often the container of its pod was started again.'),
    pod: z.string().max(POD_NAME_LENGTH_MAX).describe('The pod that it is about; empty where there is none.'),
  })
  .describe('One symbol that is not live.')
export type AttentionEntry = z.infer<typeof AttentionEntry>

export const Condition = z
  .strictObject({
    type: z
      .string()
      .min(1)
      .max(64)
      .describe(`What the condition is about: ${CONDITION_TYPES.join(', ')}.`),
    status: z.enum(['True', 'False', 'Unknown']).describe('Whether it is so.'),
    reason: z.string().min(1).max(REASON_LENGTH_MAX).describe('Why, as one word.'),
    message: z.string().max(CONDITION_MESSAGE_LENGTH_MAX).describe('Why, as a sentence.'),
    lastTransitionTime: time.describe('When status last changed.'),
    observedGeneration: generation.optional().describe('The generation of the spec that it is about.'),
  })
  .describe('One thing that can be so or not.')
export type Condition = z.infer<typeof Condition>

export const CaptureStatus = z
  .strictObject({
    observedGeneration: generation
      .optional()
      .describe('The generation of the spec that this status is about.'),
    symbols: z
      .strictObject({
        desired: count.describe('Symbols that the spec names.'),
        live: count.describe('Symbols with a live book.'),
        halted: count.describe('Symbols that halted, and are not live again.'),
      })
      .optional()
      .describe('Counts of symbols.'),
    attention: z
      .array(AttentionEntry)
      .max(ATTENTION_MAX)
      .meta(asMap('symbol'))
      .optional()
      .describe('Symbols that are not live, the most urgent first.'),
    attentionOmitted: count.optional().describe('Symbols that are not live and do not fit into attention.'),
    conditions: z
      .array(Condition)
      .max(CONDITIONS_MAX)
      .meta(asMap('type'))
      .optional()
      .describe(
        'Whether all is well. Ready sums up; Capturing and Uploading are good when True; Halted, Suspended, Reconciling and Stalled say that something is the case.',
      ),
  })
  .describe(
    'What is seen in the cluster. Made anew by the operator at each look; nothing is remembered here.',
  )
export type CaptureStatus = z.infer<typeof CaptureStatus>

/** As it comes from the API server: the spec is what the server has accepted, perhaps under an older schema. */
export interface L2CaptureResource {
  readonly apiVersion?: string
  readonly kind?: string
  readonly metadata: V1ObjectMeta
  readonly spec: CaptureSpec
  readonly status?: CaptureStatus | undefined
}
