import { captureDefinition } from '../../api/crd.ts'
import { API_GROUP, API_VERSION, API_VERSION_NAME, CAPTURES, KIND } from '../../api/labels.ts'
import type { CaptureStatus } from '../../api/resource.ts'
import { type ApiClient, ApiFailure, type TestContext } from '../cluster/mod.ts'
import { waitFor } from '../support/wait.ts'

/** L2Captures on a real API server, for the tests of their definition. */

export interface Stored {
  readonly metadata: { readonly name: string; readonly generation: number; readonly resourceVersion: string }
  readonly spec: Readonly<Record<string, unknown>>
  readonly status?: CaptureStatus
}

/** The least that a spec must say. */
export const LEAST = {
  exchange: 'BinanceUsdm',
  symbols: ['BTCUSDT'],
  storage: { s3: { bucket: 'market-data' } },
}

export function capture(spec: object, name = 'majors', group = API_GROUP): object {
  return { apiVersion: `${group}/${API_VERSION_NAME}`, kind: KIND, metadata: { name }, spec }
}

export function capturesPath(namespace: string, group = API_GROUP): string {
  return `/apis/${API_VERSION.replace(API_GROUP, group)}/namespaces/${namespace}/${CAPTURES}`
}

export type Verdict = { readonly stored: Stored } | { readonly refused: string }

/** What the server would do with the object: nothing is stored. Unknown fields are refused, as kubectl wants it. */
export async function verdictOf(api: ApiClient, namespace: string, object: object): Promise<Verdict> {
  const path = `${capturesPath(namespace)}?dryRun=All&fieldValidation=Strict`
  try {
    return { stored: await api.create<Stored>(path, object) }
  } catch (error) {
    if (error instanceof ApiFailure && [400, 422].includes(error.status)) return { refused: error.message }
    throw error
  }
}

/** What a test changes in the definition before it applies it. */
export type Change = (text: string) => string

/**
 * Our definition under a group of its own, so that a test may change it while others use the real one; gone with
 * the test. Returns how to apply it again, changed otherwise.
 */
export async function ownDefinition(
  context: TestContext,
  api: ApiClient,
  group: string,
  change: Change,
): Promise<(next: Change) => Promise<void>> {
  const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${CAPTURES}.${group}`
  const apply = async (how: Change) => {
    const before = JSON.stringify({ ...captureDefinition(), status: undefined })
    const text = how(before)
    if (text === before && how !== AS_IT_IS) throw new Error('the test changes nothing of the definition')
    await api.apply(path, JSON.parse(text.replaceAll(API_GROUP, group).replace('"l2c"', '"l2ctest"')))
  }
  await apply(change)
  context.after(() => api.delete(path).then(() => undefined))
  await waitFor(`the definition of ${group} to be served`, () => api.exists(capturesPath('default', group)))
  return apply
}

export const AS_IT_IS: Change = (text) => text
