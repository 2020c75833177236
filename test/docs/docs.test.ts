/** The pages say what the code does: reasons, exit codes, numbers, links. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, it } from 'node:test'
import { z } from 'zod'
import { END_REASONS, HALT_EXIT_CODES, TERMINAL_HALTS } from '../../api/reasons.ts'
import { METRICS } from '../../capture/process/metrics.ts'
import { OperatorMetrics } from '../../operator/metrics.ts'
import { allPages, below, filesOf, linksOf, pageAt, ROOT, rows, section } from './pages.ts'

const pages = allPages()
const operations = pageAt('docs/OPERATIONS.md')
const Manifest = z.object({
  scripts: z.record(z.string(), z.string()),
  dependencies: z.record(z.string(), z.string()),
})
const manifest = Manifest.parse(JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')))
const HALTS = Object.entries(HALT_EXIT_CODES)
const ALL_REASONS = [...END_REASONS, ...HALTS.map(([name]) => name)].sort()

describe('docs: reasons', () => {
  it('every reason has its page, and no page names an unknown one', () => {
    const reasons = ['Gaps', 'Pauses', 'Ends of a run'].flatMap((title) => below(operations, title))
    assert.deepEqual(reasons.map(({ title }) => title).sort(), [...END_REASONS].sort())
    assert.deepEqual(
      below(operations, 'Halts').map(({ title }) => title),
      HALTS.map(([name]) => name),
    )
  })

  it('every page says what it means, and what becomes of it', () => {
    for (const title of ALL_REASONS) {
      const { text } = section(operations, title)
      assert.match(text, /\*\*Means\.\*\*/, `${title} does not say what it means`)
      assert.match(text, /\*\*(You|Normal|By itself|Restart)\.\*\*/, `${title} does not say what to do`)
    }
  })

  it('the table at the top has each reason once, and links to its page', () => {
    const { text } = section(operations, 'Every reason')
    assert.deepEqual(
      rows(text)
        .map(({ first }) => first)
        .sort(),
      ALL_REASONS,
    )
    for (const reason of ALL_REASONS) {
      assert.ok(
        text.includes(`[\`${reason}\`](#${section(operations, reason).anchor})`),
        `${reason}: its link`,
      )
    }
  })

  it('exit codes are those of the code', () => {
    const table = rows(section(operations, 'Every reason').text)
    for (const [name, code] of HALTS) {
      const { text } = section(operations, name)
      assert.match(text, new RegExp(`^\\s*Exit code ${code}\\.`), `${name}: Exit code ${code}.`)
      assert.equal(table.find(({ first }) => first === name)?.cells[1], String(code), `${name} in the table`)
      const terminal = TERMINAL_HALTS.some((halt) => halt === name)
      assert.equal(text.includes('Terminal: not started again.'), terminal, `${name}: terminal`)
    }
    const codes = HALTS.map(([, code]) => code)
    assert.match(
      section(operations, 'Exit codes').text,
      new RegExp(`\\| ${Math.min(...codes)} to ${Math.max(...codes)} \\|`),
    )
  })

  it('DATA.md explains what may stand in ended_by, and nothing else', () => {
    const { text } = section(pageAt('docs/DATA.md'), 'Why an interval ended')
    const named = rows(text).map(({ first }) => first)
    assert.deepEqual(named.filter((name) => name !== 'null').sort(), ALL_REASONS)
  })
})

/** Registered, and never read. */
function operatorMetrics(): string[] {
  const metrics = new OperatorMetrics()
  const none = () => 0
  metrics.watch({
    queueLength: none,
    unfinishedSeconds: none,
    longestRunningSeconds: none,
    workers: 0,
    activeWorkers: none,
    isLeader: () => false,
    leaseName: '',
    stalenessSeconds: () => ({}),
    polls: () => ({ answered: 0, failed: 0 }),
  })
  return metrics.names
}

describe('docs: what they point at', () => {
  it('there are pages, and they have links', () => {
    assert.ok(pages.length >= 5, `${pages.length} pages`)
    assert.ok(pages.flatMap(linksOf).length > 50)
  })

  it('relative links lead to a file, and to a heading of it', () => {
    for (const page of pages) {
      for (const link of linksOf(page)) {
        if (/^[a-z]+:/.test(link)) continue
        const [path = '', anchor] = link.split('#')
        const file = path === '' ? page.path : normalize(join(dirname(page.path), path))
        assert.ok(existsSync(join(ROOT, file)), `${page.path}: ${link} leads nowhere`)
        if (anchor === undefined) continue
        const anchors = pageAt(file).headings.map((heading) => heading.anchor)
        assert.ok(anchors.includes(anchor), `${page.path}: ${link} names no heading of ${file}`)
      }
    }
  })

  it('files and folders of the project that are named are there', () => {
    for (const page of pages) {
      const shown = filesOf(page).map(({ path }) => path)
      const named = page.text.matchAll(/`((?:api|capture|test|docs)\/[\w./-]*\w\/?)`/g)
      for (const [, path = ''] of named) {
        const there = shown.includes(path) || existsSync(join(ROOT, path))
        assert.ok(there, `${page.path} names ${path}, which is not there`)
      }
    }
  })

  it('every dependency is justified in ARCHITECTURE.md', () => {
    const { text } = section(pageAt('docs/ARCHITECTURE.md'), 'Dependencies')
    for (const name of Object.keys(manifest.dependencies)) {
      assert.ok(text.includes(`\`${name}\``), `${name} stands in package.json and not in ARCHITECTURE.md`)
    }
  })

  it('npm scripts that are named are there', () => {
    const scripts = Object.keys(manifest.scripts)
    for (const page of pages) {
      for (const [, script = ''] of page.text.matchAll(/npm run ([\w:]+)/g)) {
        assert.ok(scripts.includes(script), `${page.path} names npm run ${script}, which is not there`)
      }
    }
  })

  it('metrics that operators are sent to are there', () => {
    const known = [...METRICS.map(({ name }) => name), ...operatorMetrics()]
    const named = operations.text.matchAll(/\bl2cap_[a-z_]+[a-z]/g)
    for (const [name] of named) {
      // a histogram is three series
      const metric = name.replace(/_(bucket|sum|count)$/, '')
      assert.ok(known.includes(metric), `OPERATIONS.md names ${name}, which is no metric`)
    }
  })

  it("each of the operator's own metrics stands in OPERATIONS.md", () => {
    const own = operatorMetrics().filter((name) => name.startsWith('l2cap_'))
    assert.ok(own.length > 8)
    assert.deepEqual(
      own.filter((name) => !operations.text.includes(`\`${name}\``)),
      [],
    )
  })

  it('nothing is left to do', () => {
    for (const { path, text } of pages) {
      const line = text.split('\n').find((each) => /\b(TODO|FIXME|TBD)\b/.test(each))
      assert.equal(line, undefined, `${path}: ${line}`)
    }
  })
})
