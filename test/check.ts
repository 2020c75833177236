/**
 * `npm run check`: all that is fast, for every save: types, lint and format, generated files, the direction of
 * imports, unit tests. Well under a minute.
 */
import { spawn } from 'node:child_process'
import { runTests, testFiles } from './support/suite.ts'

/** Pure code and the layout: nothing here starts a process or takes seconds. */
const FAST = ['layout', 'api', 'docs', 'exchange', 'book', 'session', 'feed']

async function part(name: string, command: string, args: readonly string[]): Promise<boolean> {
  const started = performance.now()
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  child.stdout.on('data', (text) => {
    output += text
  })
  child.stderr.on('data', (text) => {
    output += text
  })
  const { promise, resolve } = Promise.withResolvers<number | null>()
  child.once('error', (error) => {
    output += `${error.message}\n`
    resolve(1)
  })
  child.once('close', resolve)
  const ok = (await promise) === 0
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  process.stdout.write(`${ok ? '✔' : '✖'} ${name} (${seconds} s)\n${ok ? '' : output}`)
  return ok
}

const results = await Promise.all([
  part('types', 'tsc', ['-p', '.']),
  part('lint and format', 'biome', ['ci', '--error-on-warnings', '.']),
  part('generated files', 'node', ['api/generate.ts', '--check']),
  part("the chart's generated files", 'node', ['charts/generate.ts', '--check']),
])
const tested = await runTests(testFiles(FAST))
process.exit(tested && results.every(Boolean) ? 0 : 1)
