/** The operator's program, called wrongly or for help: what a person is told. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { USAGE } from '../../operator/options.ts'

const MAIN = resolve(import.meta.dirname, '../../operator/main.ts')

function call(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
    encoding: 'utf8',
    timeout: 120_000,
  })
  return { status, stdout, stderr }
}

function settingsFile(context: TestContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'l2cap-settings-'))
  context.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'settings.yaml')
  writeFileSync(file, text)
  return file
}

describe('the call of the operator', () => {
  it('-h and --help show its options', () => {
    for (const option of ['-h', '--help'])
      assert.deepEqual(call(option), { status: 0, stdout: USAGE, stderr: '' })
  })

  it('a wrong call names what is wrong, and --help', () => {
    const { status, stderr } = call('--setings', 'x')
    assert.equal(status, 2)
    assert.match(stderr, /^l2cap-operator: .*--setings.*see --help\n$/s)
  })

  it('an empty settings file is called empty, whatever kind of nothing it holds', (context) => {
    for (const text of ['', '# nothing yet\n', 'null']) {
      const file = settingsFile(context, text)
      const { status, stderr } = call('--settings', file)
      assert.equal(status, 2)
      assert.equal(
        stderr,
        `l2cap-operator: ${file} is empty; it must name the captures' image at least: image: …\n`,
      )
    }
  })
})
