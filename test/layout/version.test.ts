/** One version: it is raised in package.json, and nothing else stays behind. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, it } from 'node:test'
import { parse } from 'yaml'
import { z } from 'zod'
import manifest from '../../package.json' with { type: 'json' }

const ROOT = resolve(import.meta.dirname, '../..')
const { version } = manifest

function text(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8')
}

describe('version', () => {
  it('the lock file has that of package.json', () => {
    const Lock = z.object({
      version: z.string(),
      packages: z.looseObject({ '': z.object({ version: z.string() }) }),
    })
    const lock = Lock.parse(JSON.parse(text('package-lock.json')))
    assert.deepEqual([lock.version, lock.packages[''].version], [version, version])
  })

  it('the chart is for the same program, and a chart of its own version', () => {
    const Chart = z.object({ version: z.string(), appVersion: z.string() })
    const chart = Chart.parse(parse(text('charts/l2cap/Chart.yaml')))
    assert.equal(chart.appVersion, version)
    assert.match(chart.version, /^\d+\.\d+\.\d+$/)
  })

  it('where nobody names a tag the chart takes the image of its program', () => {
    const Values = z.object({ image: z.object({ tag: z.string(), digest: z.string() }) })
    assert.deepEqual(Values.parse(parse(text('charts/l2cap/values.yaml'))).image, { tag: '', digest: '' })
    assert.ok(text('charts/l2cap/templates/_helpers.tpl').includes('default $.Chart.AppVersion .tag'))
  })

  it('the image is labelled with it', () => {
    assert.equal(/^ARG VERSION=(\S+)$/m.exec(text('Dockerfile'))?.[1], version)
  })

  it('CHANGELOG.md has a chapter for it, the first one', () => {
    const [, first = 'none'] = /^## (\S+)/m.exec(text('CHANGELOG.md')) ?? []
    assert.equal(first, version)
  })
})
