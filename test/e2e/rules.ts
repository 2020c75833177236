import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'

const FILES = resolve(import.meta.dirname, '../../charts/l2cap/files')
const Rules = z.array(
  z.strictObject({
    apiGroups: z.array(z.string()),
    resources: z.array(z.string()),
    resourceNames: z.array(z.string()).optional(),
    verbs: z.array(z.string()),
  }),
)
export type Rules = z.infer<typeof Rules>

/** The operator's rights, word by word as the chart ships them. */
export function operatorRules(): Rules {
  return rulesIn('operator-rules.yaml')
}

export function leaseRules(): Rules {
  return rulesIn('lease-rules.yaml')
}

function rulesIn(name: string): Rules {
  return Rules.parse(parse(readFileSync(join(FILES, name), 'utf8')))
}
