import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, it } from 'node:test'

/**
 * The layout is the architecture: imports point one way along the path of a frame. Each folder lists the folders it
 * may import; what others may import of it stands in its mod.ts.
 */
const root = resolve(import.meta.dirname, '../..')

const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  api: [],
  'capture/exchange': ['api'],
  'capture/book': ['api', 'capture/exchange'],
  'capture/session': ['api', 'capture/exchange', 'capture/book'],
  'capture/feed': ['api', 'capture/exchange', 'capture/session'],
  'capture/journal': ['api', 'capture/session'],
  'capture/ship': ['api'],
  'capture/record': [
    'api',
    'capture/exchange',
    'capture/book',
    'capture/session',
    'capture/journal',
    'capture/ship',
    'capture',
  ],
  'capture/verify': [
    'api',
    'capture/exchange',
    'capture/book',
    'capture/session',
    'capture/journal',
    'capture/ship',
    'capture/record',
  ],
  'capture/inspect': [
    'api',
    'capture/book',
    'capture/session',
    'capture/journal',
    'capture/ship',
    'capture/record',
    'capture/verify',
  ],
  'capture/serve': ['api'],
  'capture/process': [
    'api',
    'capture',
    'capture/exchange',
    'capture/book',
    'capture/session',
    'capture/feed',
    'capture/journal',
    'capture/record',
    'capture/serve',
    'capture/ship',
  ],
  'capture/cli': [
    'api',
    'capture',
    'capture/exchange',
    'capture/journal',
    'capture/record',
    'capture/ship',
    'capture/verify',
    'capture/inspect',
    'capture/process',
  ],
  'operator/kube': [],
  // besides the contract only the administrator's settings, which are data
  'operator/plan': ['api', 'operator'],
}

/** Files and folders that do no I/O: data in, data out. Hashing is not I/O. */
const PURE = [
  'api/',
  'capture/exchange/',
  'capture/book/',
  'capture/session/',
  'capture/record/rows.ts',
  'capture/record/stage.ts',
  'capture/record/columns.ts',
  'operator/plan/',
]
const PURE_MAY_USE = ['node:crypto', 'zod', 'apache-arrow']

interface Import {
  readonly from: string
  readonly to: string
  readonly typeOnly: boolean
}

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name))
}

const IMPORT =
  /^(?:import|export)\s+(type\s)?[^'"`;]*?from\s+'([^']+)'|^import\s+'([^']+)'|\bimport\('([^']+)'\)/gm

function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), 'utf8')
  return [...text.matchAll(IMPORT)].map((match) => {
    const target = match[2] ?? match[3] ?? match[4] ?? ''
    const to = target.startsWith('.') ? relative(root, resolve(root, dirname(file), target)) : target
    return { from: file, to, typeOnly: match[1] !== undefined }
  })
}

/** The folder of a file: two parts below capture/ and operator/, one elsewhere. */
function folderOf(file: string): string {
  const parts = file.split('/')
  const deep = parts[0] === 'capture' || parts[0] === 'operator'
  return parts.slice(0, Math.min(deep ? 2 : 1, parts.length - 1)).join('/')
}

const files = ['api', 'capture', 'operator'].flatMap(sources)
const imports = files.flatMap(importsOf)
const inside = imports.filter((one) => !/^(node:|[a-z@])/.test(one.to) || files.includes(one.to))

describe('layout', () => {
  it('finds the sources and their imports', () => {
    assert.ok(files.length > 40, `${files.length} files`)
    assert.ok(inside.length > 100, `${inside.length} imports`)
    for (const one of inside)
      assert.ok(files.includes(one.to), `${one.from} imports ${one.to}, which is not there`)
  })

  it('every folder is known, and imports only what lies before it on the path of a frame', () => {
    const wrong = inside.filter((one) => {
      const from = folderOf(one.from)
      if (from === 'capture' || from === 'operator') return false // the programs: main.ts, cli.ts
      const allowed = MAY_IMPORT[from]
      assert.ok(allowed !== undefined, `${from} is not in the table`)
      const to = folderOf(one.to)
      return to !== from && !allowed.includes(to)
    })
    assert.deepEqual(
      wrong.map((one) => `${one.from} → ${one.to}`),
      [],
    )
  })

  it('a folder is imported through its mod.ts', () => {
    const wrong = inside.filter((one) => {
      const from = folderOf(one.from)
      const to = folderOf(one.to)
      return (
        from !== to &&
        from !== 'capture' && // the programs: each loads what it needs, and no more
        !['api', 'capture', 'operator'].includes(to) &&
        to !== 'capture/process' &&
        !one.to.endsWith('/mod.ts')
      )
    })
    assert.deepEqual(
      wrong.map((one) => `${one.from} → ${one.to}`),
      [],
    )
  })

  it('pure folders import no I/O', () => {
    const wrong = imports.filter(
      (one) =>
        PURE.some((pure) => one.from.startsWith(pure)) &&
        one.from !== 'api/generate.ts' && // a program, which writes what the others make
        !one.typeOnly && // types are erased
        !files.includes(one.to) &&
        !PURE_MAY_USE.includes(one.to),
    )
    assert.deepEqual(
      wrong.map((one) => `${one.from} → ${one.to}`),
      [],
    )
  })

  it('capture never imports the operator, and nothing of the product imports the tests', () => {
    const wrong = imports.filter(
      (one) =>
        (one.to.startsWith('operator/') && !one.from.startsWith('operator/')) || one.to.startsWith('test/'),
    )
    assert.deepEqual(wrong, [])
  })

  it('has no cycles', () => {
    const graph = new Map(
      files.map((file) => [
        file,
        inside.filter((one) => one.from === file && !one.typeOnly).map((one) => one.to),
      ]),
    )
    const done = new Set<string>()
    const visit = (file: string, trail: readonly string[]): void => {
      assert.ok(!trail.includes(file), `a cycle: ${[...trail, file].join(' → ')}`)
      if (done.has(file)) return
      for (const next of graph.get(file) ?? []) visit(next, [...trail, file])
      done.add(file)
    }
    for (const file of files) visit(file, [])
  })
})
