/** The images that run on the cluster of the tests, as archives for its nodes. */
import { execFile } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { programPath } from '../cluster/mod.ts'
import { serverBinary } from '../s3/binary.ts'

const run = promisify(execFile)
const ROOT = resolve(import.meta.dirname, '../..')
const SCRIPTS = join(import.meta.dirname, 'image')
const WORLD = join(import.meta.dirname, 'world')
/** The base image is made from nothing once, of packages that come from elsewhere, each in three tries. */
const WITHIN_MS = 150 * 60_000

export const IMAGES = { product: 'localhost/l2cap:test', world: 'localhost/l2cap-sim:test' } as const

/** CommonJS in a module still asks for this. */
const BANNER = `import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url)`

/** Where a test finds the archive of the product's image, and the network that packages can be fetched from. */
const IMAGE_ENV = 'L2CAP_TEST_IMAGE'
const OUTSIDE_ENV = 'L2CAP_TEST_OUTSIDE'

/** For the tests, which have the cluster's network and not that of the run that made the images. */
export function imageEnv({ product }: Archives): NodeJS.ProcessEnv {
  return { [IMAGE_ENV]: product, [OUTSIDE_ENV]: `/proc/${process.pid}/ns/net` }
}

/** Why no test can look into the image, for its skip; empty where one can. */
export function imageProblem(): string {
  return process.env[IMAGE_ENV] ? '' : 'the image of somebody’s cluster was not built here'
}

/** The archive of the image that this run's cluster has. Throws where there is none. */
export function productArchive(): string {
  const path = process.env[IMAGE_ENV]
  if (!path) throw new Error(imageProblem())
  return path
}

/** Paths of archives. */
export interface Archives {
  readonly pause: string
  readonly product: string
  readonly world: string
}

/** Built anew where a source has changed; old builds go. Throws with the end of what a build said. */
export async function makeImages(): Promise<Archives> {
  const cache = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'l2cap', 'images')
  mkdirSync(cache, { recursive: true })
  const out = (name: string) => join(cache, `${name}-${process.pid}.tar`)
  const archives = { pause: out('pause'), product: out('l2cap'), world: out('world') }
  await script('base.sh')
  await script('pause.sh', programPath('pause'), archives.pause)
  await script('build.sh', ROOT, IMAGES.product, archives.product)
  await makeWorld(archives.world)
  // it is made room for the next time; what there is is good
  await script('prune.sh').catch((error: unknown) => process.stderr.write(`old images stay: ${error}\n`))
  return archives
}

/** The image of the product once more, of nothing that was made before. */
export async function makeAgain(archive: string): Promise<void> {
  const build = [join(SCRIPTS, 'build.sh'), ROOT, `${IMAGES.product}-again`, archive, '', '--no-cache']
  const outside = process.env[OUTSIDE_ENV]
  await command(outside === undefined ? build : ['nsenter', `--net=${outside}`, '--', ...build])
}

async function makeWorld(archive: string): Promise<void> {
  const context = mkdtempSync(join(tmpdir(), 'l2cap-world-'))
  try {
    await build({
      entryPoints: [join(WORLD, 'entry.ts')],
      outfile: join(context, 'main.js'),
      ...{ bundle: true, format: 'esm', platform: 'node', target: 'node24', banner: { js: BANNER } },
      external: ['bufferutil', 'utf-8-validate'],
      logLevel: 'error',
    })
    copyFileSync(join(WORLD, 'Dockerfile'), join(context, 'Dockerfile'))
    copyFileSync(serverBinary('versitygw'), join(context, 'versitygw'))
    await script('build.sh', context, IMAGES.world, archive)
  } finally {
    rmSync(context, { recursive: true, force: true })
  }
}

async function script(name: string, ...args: readonly string[]): Promise<void> {
  await command([join(SCRIPTS, name), ...args])
}

async function command([program = '', ...args]: readonly string[]): Promise<void> {
  try {
    await run(program, args, { timeout: WITHIN_MS })
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr).slice(-3000) : ''
    throw new Error(`${program} ${args.join(' ')} failed:\n${said || String(error)}`)
  }
}
