import { z } from 'zod'
import { CEL_RULES } from './rules.ts'

/**
 * From zod to what a CustomResourceDefinition takes: an OpenAPI schema that is structural, which is less than JSON
 * Schema. What cannot be said there is refused here, and not left out in silence.
 */

/** A schema as it stands in a definition. */
export interface Structural {
  readonly description?: string
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'boolean'
  readonly format?: string
  readonly default?: unknown
  readonly enum?: readonly unknown[]
  readonly minLength?: number
  readonly maxLength?: number
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly items?: Structural
  readonly required?: readonly string[]
  readonly properties?: Readonly<Record<string, Structural>>
  readonly maxProperties?: number
  readonly additionalProperties?: Structural
  readonly 'x-kubernetes-int-or-string'?: true
  readonly 'x-kubernetes-list-type'?: 'set' | 'map' | 'atomic'
  readonly 'x-kubernetes-list-map-keys'?: readonly string[]
  readonly [CEL_RULES]?: readonly { readonly rule: string; readonly message: string }[]
}

/** In the order in which they are written: what a reader wants to know first comes first. */
const KEYS: readonly (keyof Structural)[] = [
  'description',
  'type',
  'x-kubernetes-int-or-string',
  'format',
  'default',
  'enum',
  'minLength',
  'maxLength',
  'pattern',
  'minimum',
  'maximum',
  'minItems',
  'maxItems',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'items',
  'maxProperties',
  'additionalProperties',
  'required',
  'properties',
  CEL_RULES,
]

const INT32_MAX = 2 ** 31 - 1

type Json = Readonly<Record<string, unknown>>

/** The schema as the API server wants it. Throws TypeError for one that a definition cannot say. */
export function structural(schema: z.ZodType): Structural {
  return rewrite(
    z.toJSONSchema(schema, { target: 'openapi-3.0', io: 'input', unrepresentable: 'throw' }) as Json,
    '',
  )
}

function rewrite(schema: Json, path: string): Structural {
  const { additionalProperties, properties, items, anyOf, ...rest } = schema
  const out: Record<string, unknown> = {
    ...rest,
    ...(anyOf === undefined ? {} : intOrString(anyOf, path)),
    // a definition drops unknown fields by itself, or the server refuses them where the client asks for that
    ...(isSchema(additionalProperties)
      ? { additionalProperties: rewrite(additionalProperties, `${path}.*`) }
      : {}),
    ...(isSchema(items) ? { items: rewrite(items, `${path}[]`) } : {}),
    ...(isSchema(properties)
      ? { properties: mapValues(properties, (part, name) => rewrite(part, `${path}.${name}`)) }
      : {}),
  }
  // the server's own check of times; zod's is a long pattern that nobody could read in a message
  if (out['format'] === 'date-time') delete out['pattern']
  if (out['type'] === 'integer') out['format'] = Number(out['maximum']) <= INT32_MAX ? 'int32' : 'int64'
  delete out['$schema']
  const unknown = Object.keys(out).filter((key) => !KEYS.some((known) => known === key))
  if (unknown.length > 0) {
    throw new TypeError(`a definition cannot say ${unknown.join(', ')} of ${path || 'its top'}`)
  }
  return Object.fromEntries(KEYS.flatMap((key) => (out[key] === undefined ? [] : [[key, out[key]]])))
}

/** Of all unions a definition knows this one: `cpu: 1` and `cpu: 250m`. */
function intOrString(anyOf: unknown, path: string): Json {
  const members = Array.isArray(anyOf) ? anyOf.filter(isSchema) : []
  const [integer, string] = ['integer', 'string'].map((type) => members.find((one) => one['type'] === type))
  if (members.length !== 2 || integer === undefined || string === undefined) {
    throw new TypeError(`a definition cannot say the union at ${path}`)
  }
  const { type: _integer, ...ofNumbers } = integer
  const { type: _string, ...ofTexts } = string
  return { 'x-kubernetes-int-or-string': true, ...ofNumbers, ...ofTexts }
}

function mapValues(record: Json, change: (value: Json, name: string) => unknown): Json {
  return Object.fromEntries(
    Object.entries(record).map(([name, value]) => [name, isSchema(value) ? change(value, name) : value]),
  )
}

function isSchema(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
