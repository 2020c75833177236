/**
 * What the image runs: `node bundle.ts DIR` writes the programs and their workers as plain JavaScript, and beside
 * them all that these need besides Node. Nothing else of this project, and no package, is in the image.
 *
 * All files lie in one directory, so that what finds a file by its own place (a worker, the encoder's WebAssembly)
 * finds it there. What several programs share, or load only when they need it, are files of their own: the capture
 * never loads a line of the cluster's client. Names are kept and nothing is minified: a stack trace that an operator
 * of the system sends us is readable.
 *
 * The same packages and sources give the same bytes.
 */
import { createHash } from 'node:crypto'
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative, resolve } from 'node:path'
import { build, type Metafile, type Plugin } from 'esbuild'
import manifest from './package.json' with { type: 'json' }

const ROOT = import.meta.dirname
const NODE_MAJOR = 24
const MODULES = 'node_modules'
export const LICENSES_FILE = 'THIRD-PARTY-LICENSES.txt'

/** The programs and the workers: the source of each, by its name in the bundle. */
export const PROGRAMS: Readonly<Record<string, string>> = {
  capture: 'capture/main.ts',
  operator: 'operator/main.ts',
  cli: 'capture/cli.ts',
  'record-worker': 'capture/record/worker.ts',
  'decoder-worker': 'capture/verify/decoder-worker.ts',
}

/** Native code: it stays a package, for the platform that the packages were installed on. */
const NATIVE = /^@node-rs\/crc32/
/** What `ws` would use if it were installed. */
const ABSENT = ['bufferutil', 'utf-8-validate']

/** CommonJS in a module still asks for these two; both mean the bundle's directory. */
const BANNER = `import { createRequire as requireOf } from 'node:module'
const require = requireOf(import.meta.url)
const __dirname = import.meta.dirname`

/** A bundle that would not work. The message says what to mend. */
export class BundleError extends Error {
  readonly code = 'BundleBroken'
}

/** A program that another one starts is named by its place beside it: `new URL('./worker.ts', import.meta.url)`. */
const startedPrograms: Plugin = {
  name: 'started programs',
  setup({ onLoad }) {
    onLoad({ filter: /\/(capture|operator)\/.*\.ts$/ }, ({ path }) => {
      const source = readFileSync(path, 'utf8')
      const contents = source.replace(
        /new URL\('([^']+)', import\.meta\.url\)/g,
        (_, target: string) => `new URL('./${programAt(path, target)}.js', import.meta.url)`,
      )
      return { contents, loader: 'ts' }
    })
  },
}

function programAt(path: string, target: string): string {
  const source = relative(ROOT, resolve(dirname(path), target))
  const found = Object.entries(PROGRAMS).find(([, entry]) => entry === source)
  if (found !== undefined) return found[0]
  throw new BundleError(`${relative(ROOT, path)} starts ${source}, which is no program of the bundle: add it`)
}

/** Of package.json only the version goes along. */
const versionAlone: Plugin = {
  name: 'version alone',
  setup({ onLoad }) {
    onLoad({ filter: /package\.json$/ }, ({ path }) =>
      path === join(ROOT, 'package.json')
        ? { contents: JSON.stringify({ version: manifest.version }), loader: 'json' }
        : undefined,
    )
  },
}

/**
 * Writes the bundle, instead of what the directory held. Returns what it is made of.
 * Throws a BundleError, or esbuild's own error, which names file and line.
 */
export async function bundle(directory: string): Promise<Metafile> {
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true })
  const { metafile, warnings } = await build({
    absWorkingDir: ROOT,
    entryPoints: PROGRAMS,
    outdir: directory,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    // a part that is loaded late keeps the names it exports only where it is a module: CommonJS has `default` alone
    mainFields: ['module', 'main'],
    target: `node${NODE_MAJOR}`,
    external: ['@node-rs/crc32', ...ABSENT],
    chunkNames: 'part-[name]-[hash]',
    banner: { js: BANNER },
    legalComments: 'eof',
    metafile: true,
    plugins: [startedPrograms, versionAlone],
    logLevel: 'warning',
  })
  if (warnings.length > 0) throw new BundleError(`esbuild warns of ${warnings.length} things, see above`)
  const packages = new Set([...packagesOf(metafile), ...nativePackages(directory)])
  const wasm = createRequire(import.meta.url).resolve('parquet-wasm/node/parquet_wasm_bg.wasm')
  copyFileSync(wasm, join(directory, 'parquet_wasm_bg.wasm'))
  const { name, version, license, type } = manifest
  writeFileSync(join(directory, 'package.json'), `${JSON.stringify({ name, version, license, type })}\n`)
  writeFileSync(join(directory, LICENSES_FILE), licensesOf([...packages].sort()))
  return metafile
}

/** Directories of the packages that have a part in the bundle, as `node_modules/…`. */
export function packagesOf(metafile: Metafile): Set<string> {
  const found = new Set<string>()
  for (const output of Object.values(metafile.outputs)) {
    for (const [input, { bytesInOutput }] of Object.entries(output.inputs)) {
      const [, packageDir] = /^((?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input) ?? []
      if (packageDir !== undefined && bytesInOutput > 0) found.add(packageDir)
    }
  }
  return found
}

function nativePackages(directory: string): string[] {
  const scope = join(MODULES, '@node-rs')
  const names = readdirSync(join(ROOT, scope)).filter((name) => NATIVE.test(`@node-rs/${name}`))
  if (names.length < 2) throw new BundleError(`no native @node-rs/crc32 for ${process.platform} is installed`)
  const paths = names.map((name) => join(scope, name))
  for (const path of paths) cpSync(join(ROOT, path), join(directory, path), { recursive: true })
  return paths
}

/** Name, version and licence of each package, with the text that it asks to be passed on. */
function licensesOf(packages: readonly string[]): string {
  const parts = packages.map((path) => {
    const about: unknown = JSON.parse(readFileSync(join(ROOT, path, 'package.json'), 'utf8'))
    const { name, version, license } = about as { name: string; version: string; license?: unknown }
    const texts = readdirSync(join(ROOT, path))
      .filter((file) => /^(licen[cs]e|notice|copying)/i.test(file))
      .sort()
      .map((file) => readFileSync(join(ROOT, path, file), 'utf8').trim())
    return [`${name} ${version} (${JSON.stringify(license)})`, ...texts].join('\n\n')
  })
  return `${parts.join(`\n\n${'-'.repeat(80)}\n\n`)}\n`
}

function summaryOf(directory: string, metafile: Metafile): string {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((one) => one.isFile())
  const lines = files
    .map((file) => join(file.parentPath, file.name))
    .sort()
    .map((path) => {
      const bytes = readFileSync(path)
      const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 12)
      return `${String(bytes.length).padStart(9)}  ${hash}  ${relative(directory, path)}`
    })
  return `${lines.join('\n')}\n${packagesOf(metafile).size} packages have a part in it\n`
}

async function main([directory, ...rest]: readonly string[]): Promise<number> {
  if (directory === undefined || rest.length > 0) {
    process.stderr.write('usage: node bundle.ts DIR (what DIR holds is replaced)\n')
    return 2
  }
  process.stdout.write(summaryOf(directory, await bundle(resolve(directory))))
  return 0
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2))
