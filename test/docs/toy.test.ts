/** The exchange in ADD_EXCHANGE.md is compiled and run, as if its files lay where the page says. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { filesOf, pageAt, ROOT } from './pages.ts'

const PART_MS_MAX = 600_000

interface Ended {
  readonly code: number | null
  readonly output: string
}

/** The project as it is, with files added: what is not new are links to what is there. */
function treeWith(files: readonly { readonly path: string; readonly code: string }[]): string {
  const tree = realpathSync(mkdtempSync(join(tmpdir(), 'l2cap-docs-')))
  for (const { path } of files) openUp(tree, dirname(path))
  for (const name of ['api', 'node_modules', 'package.json']) link(tree, name)
  for (const { path, code } of files) {
    mkdirSync(join(tree, dirname(path)), { recursive: true })
    writeFileSync(join(tree, path), code)
  }
  const compilerOptions = { typeRoots: [join(ROOT, 'node_modules/@types')] }
  const config = {
    extends: join(ROOT, 'tsconfig.json'),
    compilerOptions,
    include: files.map(({ path }) => path),
  }
  writeFileSync(join(tree, 'tsconfig.json'), JSON.stringify(config))
  return tree
}

/** Makes a folder that may take new files: all that lies beside the way to it are links. */
function openUp(tree: string, folder: string): void {
  const parts = folder.split('/')
  for (let depth = 1; depth < parts.length; depth++) {
    const above = parts.slice(0, depth).join('/')
    const open = parts.slice(0, depth + 1).join('/')
    mkdirSync(join(tree, above), { recursive: true })
    for (const name of readdirSync(join(ROOT, above))) {
      if (`${above}/${name}` !== open) link(tree, `${above}/${name}`)
    }
  }
  mkdirSync(join(tree, folder), { recursive: true })
}

function link(tree: string, path: string): void {
  symlinkSync(join(ROOT, path), join(tree, path))
}

async function command(cwd: string, args: readonly string[]): Promise<Ended> {
  // a test that is run by a test would report to its parent instead
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const child = spawn(process.execPath, [...args], { cwd, env, timeout: PART_MS_MAX, killSignal: 'SIGKILL' })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text) => {
      output += text
    })
  }
  const code = await new Promise<number | null>((done, failed) => {
    child.once('error', failed)
    child.once('close', done)
  })
  return { code, output }
}

describe('docs: the toy exchange of ADD_EXCHANGE.md', () => {
  const files = filesOf(pageAt('docs/ADD_EXCHANGE.md'))

  it('compiles under the rules of the project, and its test passes', async () => {
    assert.deepEqual(
      files.map(({ path }) => path),
      ['capture/exchange/toy/mod.ts', 'test/exchange/toy.test.ts'],
    )
    const tree = treeWith(files)
    try {
      const [compiled, tested] = await Promise.all([
        command(tree, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', tree]),
        command(tree, ['--test', '--test-reporter=tap', 'test/exchange/toy.test.ts']),
      ])
      assert.equal(compiled.code, 0, compiled.output)
      assert.equal(tested.code, 0, tested.output)
      assert.match(tested.output, /^# pass 1$/m)
    } finally {
      rmSync(tree, { recursive: true, force: true })
    }
  })
})
