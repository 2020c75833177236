/**
 * Alerts on sample series: they fire when they must. Not in `npm test`, since promtool takes a minute and a half to
 * build; where it is missing these fail, and are never skipped.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { stringify } from 'yaml'
import { z } from 'zod'
import { programPath } from '../cluster/mod.ts'
import { CHART, chartFile, one, rendered } from './helm.ts'

const SERIES = join(import.meta.dirname, 'alerts.yaml')
const Alerts = z.object({ groups: z.array(z.object({ rules: z.array(z.object({ alert: z.string() })) })) })

/** What promtool says of the rules, changed by the test or not. */
async function promtool(t: TestContext, change: (text: string) => string): Promise<string> {
  const built = existsSync(programPath('promtool'))
  assert.ok(built, 'promtool is not built: with Go on the machine, npm run test:long builds it')
  const dir = mkdtempSync(join(tmpdir(), 'l2cap-alerts-'))
  t.after(() => rmSync(dir, { recursive: true }))
  writeFileSync(join(dir, 'rules.yaml'), change(readFileSync(join(CHART, 'files/alerts.yaml'), 'utf8')))
  cpSync(SERIES, join(dir, 'alerts.yaml'))
  const words = ['test', 'rules', 'alerts.yaml']
  return await promisify(execFile)(programPath('promtool'), words, { cwd: dir, timeout: 300_000 }).then(
    ({ stdout }) => stdout,
    (error: unknown) => String(Object(error).stdout) + String(error),
  )
}

describe('alerts with sample series', () => {
  it('each fires when it must, and no other', async (t) => {
    assert.match(await promtool(t, (text) => text), /SUCCESS/)
    const tried = readFileSync(SERIES, 'utf8')
    const { groups } = Alerts.parse(chartFile('files/alerts.yaml'))
    const alerts = groups.flatMap(({ rules }) => rules.map(({ alert }) => alert))
    assert.ok(alerts.length > 10, alerts.join(', '))
    for (const alert of alerts) assert.ok(tried.includes(`"${alert}"`), `${alert} is not tried`)
  })

  it('the rule that the chart renders is one that Prometheus takes', async (t) => {
    const rule = one(await rendered('--set', 'monitoring.resources=always'), 'PrometheusRule', 'l2cap')
    const dir = mkdtempSync(join(tmpdir(), 'l2cap-rule-'))
    t.after(() => rmSync(dir, { recursive: true }))
    writeFileSync(join(dir, 'rule.yaml'), stringify(rule['spec']))
    const words = ['check', 'rules', '--lint-fatal', 'rule.yaml']
    const { stdout } = await promisify(execFile)(programPath('promtool'), words, { cwd: dir })
    assert.match(stdout, /SUCCESS: \d+ rules found/)
  })

  it('an alert that fires too late fails that', async (t) => {
    assert.match(await promtool(t, (text) => text.replace('> 900', '> 901')), /L2capUploadLag/)
  })
})
