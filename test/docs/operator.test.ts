/** The page names every option and setting of the operator, with the default that it has. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { z } from 'zod'
import { CONDITION_REASONS, EVENT_REASONS } from '../../api/conditions.ts'
import { type Options, readOptions, USAGE } from '../../operator/options.ts'
import { parseSettings, Settings } from '../../operator/settings.ts'
import { pageAt, rows, section } from './pages.ts'

const operations = pageAt('docs/OPERATIONS.md')
const SETTINGS = { image: 'registry.example/l2cap:1' }
/** Events that tell what the operator did itself. */
const NOTHING_TO_DO = ['PodCreated', 'PodDeleted', 'PodDraining', 'PodDiscarded', 'PodAdopted']

/** A reason of a condition that stays until somebody does something; a halt's has its own section. */
function asksForPerson(type: string, reason: string): boolean {
  if (type === 'Stalled') return reason !== 'Progressing'
  return ['UploadFailing', 'ExchangeSuspect', 'Stalled'].includes(reason)
}

/** Taken from the machine or the environment where it is not given. */
const NO_FIXED_DEFAULT = ['settings', 'identity']

/** The rows below a heading: name and default. */
function told(title: string): [name: string, byDefault: string][] {
  return rows(section(operations, title).text).map(({ first, cells }) => [first, cells[0] ?? ''])
}

function defaultOptions(): Options {
  const folder = mkdtempSync(join(tmpdir(), 'l2cap-options-'))
  try {
    const file = join(folder, 'settings.json')
    writeFileSync(file, JSON.stringify(SETTINGS))
    return readOptions(['--settings', file], {})
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** The schema with its defaults taken off. */
function bare(schema: unknown): unknown {
  return schema instanceof z.ZodPrefault || schema instanceof z.ZodDefault ? bare(schema.unwrap()) : schema
}

/** Every setting that is no group of others, in order. */
function settingNames(schema: unknown, before = ''): string[] {
  const one = bare(schema)
  if (!(one instanceof z.ZodObject)) return [before]
  return Object.entries(one.shape).flatMap(([name, part]) =>
    settingNames(part, before === '' ? name : `${before}.${name}`),
  )
}

function valueAt(value: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((part, name) => Object.entries(part ?? {}).find(([key]) => key === name)?.[1], value)
}

/** As the page writes a default. */
function textOf(value: unknown): string {
  if (value === undefined) return ''
  if (typeof value === 'number') return String(Number(value.toFixed(2)))
  if (typeof value !== 'object' || value === null) return String(value)
  const entries = Object.entries(value)
  return entries.length === 0 ? 'none' : entries.map(([name, text]) => `${name} ${text}`).join(', ')
}

describe('docs: the operator', () => {
  it('every option of its usage, with its default', () => {
    const names = [...USAGE.matchAll(/^ {2}--([\w-]+) [A-Z]/gm)].map(([, name = '']) => name)
    assert.ok(names.length > 10, USAGE)
    const options = defaultOptions()
    const wanted = names.map((name) => {
      const field = name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())
      assert.ok(field in options, `--${name} is in the usage and no option`)
      return [`--${name}`, NO_FIXED_DEFAULT.includes(name) ? '' : textOf(valueAt(options, field))]
    })
    assert.equal(names.length, Object.keys(options).length, 'an option is not in the usage')
    assert.deepEqual(told("The operator's options"), wanted)
  })

  it('every reason that asks for a person has a row that says what to do', () => {
    const events = Object.keys(EVENT_REASONS).filter((reason) => !NOTHING_TO_DO.includes(reason))
    const conditions = Object.entries(CONDITION_REASONS).flatMap(([type, reasons]) =>
      Object.keys(reasons).filter((reason) => asksForPerson(type, reason)),
    )
    assert.ok(events.length > 5 && conditions.length > 5)
    const wanted = new Set([...events, ...conditions])
    const rowsOfPage = told('What waits for a person')
    assert.deepEqual(rowsOfPage.map(([reason]) => reason).toSorted(), [...wanted].toSorted())
    for (const [reason, what] of rowsOfPage) assert.ok(what.length > 20, reason)
  })

  it('every setting of its schema, with its default, and nothing else', () => {
    const settings = parseSettings(SETTINGS)
    const wanted = settingNames(Settings).map((path) => [
      path,
      path === 'image' ? '' : textOf(valueAt(settings, path)),
    ])
    assert.ok(wanted.length > 30)
    const byName = (rows: readonly (readonly string[])[]) =>
      rows.toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1))
    assert.deepEqual(byName(told("The operator's settings")), byName(wanted))
  })
})
