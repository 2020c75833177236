import { CONDITION_REASONS, EVENT_REASONS } from './conditions.ts'
import { captureDefinition } from './crd.ts'
import { API_GROUP, API_VERSION, CAPTURES, KIND } from './labels.ts'
import { CEL_RULES } from './rules.ts'
import type { Structural } from './structural.ts'

/** docs/RESOURCE.md, made from the schemas: what may be written, what is answered, and in which words. */

/** The whole of a spec, with its defaults; a test holds it against the schema. */
export const EXAMPLE = `apiVersion: ${API_VERSION}
kind: ${KIND}
metadata: {name: majors}
spec:
  exchange: BinanceUsdm
  symbols: [BTCUSDT, ETHUSDT]
  streams: [books, depth, trades, mark_price]
  bookLevels: 20
  rotationSeconds: 300
  guards: {staleAfterSeconds: 5, clockSkewMillis: 500, auditSeconds: 600}
  spool: {sizeLimit: 5Gi}
  storage:
    s3:
      bucket: market-data
      prefix: l2
      region: ap-northeast-1
      endpoint: https://minio.example:9000
      credentialsSecretName: l2cap-s3
      caSecretName: minio-ca
  resources:
    requests: {cpu: 25m, memory: 192Mi, ephemeral-storage: 1Gi}
    limits: {memory: 512Mi}
  suspend: false
`

interface Field {
  readonly path: string
  readonly schema: Structural
  readonly required: boolean
}

/** The page. */
export function referencePage(): string {
  const [version] = captureDefinition().spec.versions
  const { spec, status } = version?.schema.openAPIV3Schema.properties ?? {}
  if (spec === undefined || status === undefined)
    throw new TypeError('the definition has no spec or no status')
  return `<!-- Made from api/ by \`node api/generate.ts\`; a change here is lost. -->

# ${KIND}

What a user applies to a cluster, as \`kubectl explain ${CAPTURES} --recursive\` tells it, too. Group \`${API_GROUP}\`, namespaced, short name \`l2c\`. The command line reads the same file (\`l2cap run FILE.yaml\`), and takes \`storage: {local: {path: ./data}}\` besides.

\`\`\`yaml
${EXAMPLE}\`\`\`

\`kubectl get l2c\` shows how many symbols there are, live and halted, and whether all is well; \`-o wide\` why. Objects can be selected by ${(version?.selectableFields ?? []).map(({ jsonPath }) => `\`${jsonPath.slice(1)}\``).join(', ')}: \`kubectl get l2c --field-selector spec.suspend=true\`. The name is a DNS label of at most 63 characters, since pods carry it in theirs.

## Spec

\`exchange\`, \`symbols\` and \`storage\` must be given. The defaults of the rest are stored with the object when it is written.

${fieldTable(spec)}

Besides, the API server holds to these rules:

${ruleTable(spec)}

## Status

Made anew from what is seen in the cluster at each look: it may be wiped without harm.

${fieldTable(status)}

## Conditions

All seven are always there. \`Ready\` sums up. \`Reconciling\` and \`Stalled\` are those that [kstatus](https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md) reads, so \`kubectl wait --for=condition=Ready l2c/majors\` and tools of delivery know what goes on.

${table(
  ['condition', 'reason', 'means'],
  Object.entries(CONDITION_REASONS).flatMap(([type, reasons]) =>
    Object.entries(reasons).map(([reason, means]) => [code(type), code(reason), means]),
  ),
)}

## Events

Reasons of events on an ${KIND}. A halt has an event with its own reason, and so has a condition that turns.

${table(
  ['reason', 'means'],
  Object.entries(EVENT_REASONS).map(([reason, means]) => [code(reason), means]),
)}
`
}

function fieldTable(top: Structural): string {
  const rows = [...fieldsOf(top, '')].map(({ path, schema, required }) => [
    code(path) + (required ? ', required' : ''),
    kindOf(schema),
    schema.default === undefined || isEmptyObject(schema.default) ? '' : code(JSON.stringify(schema.default)),
    schema.description ?? '',
  ])
  return table(['field', 'is', 'default', 'means'], rows)
}

function ruleTable(top: Structural): string {
  const rows = [{ path: '', schema: top }, ...placesOf(top, '')].flatMap(({ path, schema }) =>
    (schema[CEL_RULES] ?? []).map(({ message }) => [code(path || 'spec'), message]),
  )
  return table(['of', 'rule'], rows)
}

/** Fields with their paths: items of lists are told with the list, their fields by `list[].field`. */
function* fieldsOf(schema: Structural, path: string): Generator<Field> {
  for (const [name, part] of Object.entries(schema.properties ?? {})) {
    const here = path === '' ? name : `${path}.${name}`
    yield { path: here, schema: part, required: schema.required?.includes(name) ?? false }
    yield* fieldsOf(part, here)
    if (part.items !== undefined) yield* fieldsOf(part.items, `${here}[]`)
  }
}

/** The same with items of lists, for rules may stand there. */
function* placesOf(schema: Structural, path: string): Generator<Omit<Field, 'required'>> {
  for (const field of fieldsOf(schema, path)) {
    yield field
    if (field.schema.items !== undefined) yield { path: `${field.path}[]`, schema: field.schema.items }
  }
}

function kindOf(schema: Structural): string {
  const { type, items, additionalProperties, minItems, maxItems, maxProperties } = schema
  if (schema['x-kubernetes-int-or-string'] === true) return 'a quantity'
  if (schema.enum !== undefined) return schema.enum.map((word) => code(String(word))).join(', ')
  if (type === 'integer') return `a whole number${range(schema)}`
  if (type === 'string')
    return schema.format === 'date-time' ? 'a time, RFC 3339' : `a text${lengths(schema)}`
  if (type === 'array') {
    const amount = minItems === undefined ? `at most ${maxItems}` : `${minItems} to ${maxItems}`
    const of = items?.enum === undefined ? '' : ` of ${kindOf(items)}`
    return `a ${schema['x-kubernetes-list-type'] === 'set' ? 'set' : 'list'}${of}, ${amount}`
  }
  if (additionalProperties !== undefined) return `a map, at most ${maxProperties}`
  return type === 'boolean' ? '`true` or `false`' : 'an object'
}

function range({ minimum, maximum = 0 }: Structural): string {
  return maximum >= 2 ** 31 - 1 ? `, from ${minimum}` : `, ${minimum} to ${maximum}`
}

function lengths({ minLength, maxLength }: Structural): string {
  return minLength === undefined ? `, at most ${maxLength}` : `, ${minLength} to ${maxLength}`
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)].join('\n')
}

function code(text: string): string {
  return `\`${text}\``
}

function isEmptyObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0
}
