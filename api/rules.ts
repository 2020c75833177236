import type { z } from 'zod'

/**
 * Rules that a schema's types, lengths and patterns cannot say. Each is said twice, side by side: for zod, which
 * guards the command line and the operator, and as CEL, which the API server evaluates. Tests hold the two against
 * each other on a real API server.
 */

/** Where a CustomResourceDefinition keeps rules; zod hands it through to the JSON schema as it is. */
export const CEL_RULES = 'x-kubernetes-validations'

/** A rule as the API server wants it. */
export interface CelRule {
  readonly rule: string
  readonly message: string
}

export interface Rule<T> {
  /** What is told to the person whose value breaks it, on either side. */
  readonly says: string
  /** Must bear what another check of the same schema has refused already: then it may answer either way. */
  holds(value: T): boolean
  /** The same over `self`. Where it may fail on values that are refused already, the server says so besides. */
  readonly cel: string
}

/** The schema with these rules, after those that it has. */
export function withRules<S extends z.ZodType>(schema: S, rules: readonly Rule<z.output<S>>[]): S {
  const refined = rules.reduce<S>((so, { holds, says }) => so.refine(holds, says), schema)
  return withServerRules(
    refined,
    rules.map(({ cel, says }) => ({ rule: cel, message: says })),
  )
}

/** The schema with rules that only the API server can know the answer to: those that look at the value before. */
export function withServerRules<S extends z.ZodType>(schema: S, rules: readonly CelRule[]): S {
  const before = schema.meta()?.[CEL_RULES]
  return schema.meta({ [CEL_RULES]: [...(Array.isArray(before) ? before : []), ...rules] })
}
