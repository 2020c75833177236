import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { waitFor } from '../support/wait.ts'
import type { ApiClient } from './client.ts'

const FOLDER = resolve(import.meta.dirname, '../../crds')
const PATH = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'

interface Definition {
  readonly metadata: { readonly name: string }
  readonly spec: {
    readonly group: string
    readonly names: { readonly plural: string }
    readonly versions: readonly { readonly name: string; readonly served: boolean }[]
  }
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] }
}

/**
 * Applies the project's resource definitions, with `replace: false` those alone that are missing, and resolves
 * when they are served. Returns their names.
 */
export async function applyDefinitions(
  api: ApiClient,
  { replace = true, folder = FOLDER } = {},
): Promise<string[]> {
  const definitions = readDefinitions(folder)
  for (const definition of definitions) {
    const path = `${PATH}/${definition.metadata.name}`
    if (replace || !(await api.exists(path))) await api.apply(path, definition)
  }
  const names = definitions.map(({ metadata }) => metadata.name)
  await definitionsServed(api, names)
  return names
}

/**
 * Resolves when objects of these definitions can be listed, or of all that there are: for a moment after a
 * definition is made they are not found, and after a start of the server they get 429.
 */
export async function definitionsServed(api: ApiClient, names?: readonly string[]): Promise<void> {
  await waitFor('custom resources to be served', async () => {
    for (const { metadata, spec, status } of await api.list<Definition>(PATH)) {
      if (names !== undefined && !names.includes(metadata.name)) continue
      if (!status?.conditions?.some(({ type, status }) => type === 'Established' && status === 'True'))
        return false
      const version = spec.versions.find(({ served }) => served)
      if (version !== undefined)
        await api.get(`/apis/${spec.group}/${version.name}/${spec.names.plural}?limit=1`)
    }
    return true
  })
}

function readDefinitions(folder: string): Definition[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter((name) => name.endsWith('.yaml'))
    .flatMap((name) => parseAllDocuments(readFileSync(join(folder, name), 'utf8')))
    .map((document) => document.toJS())
}
