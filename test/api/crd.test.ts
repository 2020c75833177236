import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { z } from 'zod'
import { captureDefinition } from '../../api/crd.ts'
import { drifted } from '../../api/generate.ts'
import { API_GROUP, CAPTURES } from '../../api/labels.ts'
import { CEL_RULES } from '../../api/rules.ts'
import { type Structural, structural } from '../../api/structural.ts'

interface Place {
  readonly path: string
  readonly schema: Structural
}

/** The schema and every schema within it, with the path to each. */
function* places(schema: Structural, path: string): Generator<Place> {
  yield { path, schema }
  for (const [name, part] of Object.entries(schema.properties ?? {})) yield* places(part, `${path}.${name}`)
  if (schema.items !== undefined) yield* places(schema.items, `${path}[]`)
  if (schema.additionalProperties !== undefined) yield* places(schema.additionalProperties, `${path}.*`)
}

const definition = captureDefinition()
const [version] = definition.spec.versions
assert.ok(version !== undefined)
const top = version.schema.openAPIV3Schema
const all = [...places(top, '')]
const ours = all.filter(({ path }) => path.startsWith('.spec') || path.startsWith('.status'))
const pathsWhere = (isWrong: (schema: Structural) => boolean, among = all) =>
  among.filter(({ schema }) => isWrong(schema)).map(({ path }) => path)

describe('the definition', () => {
  it('is committed as the schemas make it', () => {
    assert.deepEqual(drifted(), [], 'run `node api/generate.ts`')
  })

  it('has every field of the spec and the status', () => {
    assert.ok(ours.length > 40, `${ours.length} schemas`)
    assert.equal(definition.metadata.name, `${CAPTURES}.${API_GROUP}`)
  })

  it('every string, list, map and number is bounded', () => {
    const unboundedText = ({ type, maxLength, enum: words }: Structural) =>
      type === 'string' && maxLength === undefined && words === undefined
    assert.deepEqual(pathsWhere(unboundedText), [])
    const unboundedList = ({ type, maxItems }: Structural) => type === 'array' && maxItems === undefined
    assert.deepEqual(pathsWhere(unboundedList), [])
    const unboundedMap = ({ additionalProperties, maxProperties }: Structural) =>
      additionalProperties !== undefined && maxProperties === undefined
    assert.deepEqual(pathsWhere(unboundedMap), [])
    const unboundedNumber = ({ type, minimum, maximum }: Structural) =>
      type === 'integer' && (minimum === undefined || maximum === undefined)
    assert.deepEqual(pathsWhere(unboundedNumber), [])
    const unboundedEither = (schema: Structural) =>
      schema['x-kubernetes-int-or-string'] === true &&
      [schema.minimum, schema.maximum, schema.maxLength, schema.pattern].includes(undefined)
    assert.deepEqual(pathsWhere(unboundedEither), [])
  })

  it('whole numbers alone, whose format holds all that they may be', () => {
    const wrong = ({ type, format, maximum = 0 }: Structural) =>
      type === 'integer' && format !== (maximum < 2 ** 31 ? 'int32' : 'int64')
    assert.deepEqual(pathsWhere(wrong), [])
  })

  it('is structural: every schema says what it is, and objects list what they hold or bound what they take', () => {
    assert.deepEqual(
      pathsWhere((schema) => (schema.type === undefined) !== (schema['x-kubernetes-int-or-string'] === true)),
      [],
    )
    const open = ({ type, properties, additionalProperties }: Structural) =>
      type === 'object' && (properties === undefined) === (additionalProperties === undefined)
    assert.deepEqual(pathsWhere(open), [])
  })

  it('every list says how two writers of it are merged', () => {
    const lists = ours.filter(({ schema }) => schema.type === 'array')
    assert.deepEqual(
      lists.map(({ path, schema }) => [
        path,
        schema['x-kubernetes-list-type'],
        schema['x-kubernetes-list-map-keys'],
      ]),
      [
        ['.spec.symbols', 'set', undefined],
        ['.spec.streams', 'set', undefined],
        ['.status.attention', 'map', ['symbol']],
        ['.status.conditions', 'map', ['type']],
      ],
    )
  })

  it('what is required has no default, and every field is documented', () => {
    const wrong = ({ required = [], properties = {} }: Structural) =>
      required.some((name) => properties[name]?.default !== undefined)
    assert.deepEqual(pathsWhere(wrong), [])
    const fields = ours.filter(({ path }) => !path.endsWith('[]') && !path.endsWith('.*'))
    assert.deepEqual(
      pathsWhere(({ description = '' }) => !/^[A-Zc].{10,}[.]$/.test(description), fields),
      [],
    )
  })

  it('rules say in words what they want, and patterns stand for Go as for JavaScript', () => {
    const rules = all.flatMap(({ schema }) => schema[CEL_RULES] ?? [])
    assert.ok(rules.length >= 10, `${rules.length} rules`)
    for (const { rule, message } of rules) {
      assert.ok(rule.length > 0 && !rule.includes('\n'))
      assert.match(message, /^.{5,120}$/)
    }
    // Go knows neither looking around nor references back
    const wrong = ({ pattern = '' }: Structural) => /\(\?[=!<]|\\[1-9]/.test(pattern)
    assert.deepEqual(pathsWhere(wrong), [])
  })
})

describe('from zod to a definition', () => {
  it('what a definition cannot say is refused by name', () => {
    const refused = (schema: z.ZodType) => () => structural(z.object({ field: schema }))
    assert.throws(refused(z.union([z.string(), z.boolean()])), /cannot say the union at \.field/)
    assert.throws(refused(z.tuple([z.string()])), TypeError)
    assert.throws(refused(z.string().startsWith('a').endsWith('b')), /cannot say allOf of \.field/)
    assert.throws(refused(z.bigint()), /BigInt/)
  })

  it('a number or a text is one type of its own, and unknown fields are the server’s to drop', () => {
    const either = z.union([z.int().min(0).max(9), z.string().max(3)])
    assert.deepEqual(structural(z.strictObject({ either })), {
      type: 'object',
      required: ['either'],
      properties: { either: { 'x-kubernetes-int-or-string': true, maxLength: 3, minimum: 0, maximum: 9 } },
    })
  })
})
