/** The pages that ship with the program, as a test reads them: headings, sections, links, code blocks. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'

export const ROOT = resolve(import.meta.dirname, '../..')

export interface Heading {
  readonly depth: number
  /** As written, without back-ticks. */
  readonly title: string
  /** What a link to it ends with. */
  readonly anchor: string
  /** The text below it, up to the next heading of any depth. */
  readonly text: string
}

export interface Page {
  /** From the root of the project. */
  readonly path: string
  readonly text: string
  readonly headings: readonly Heading[]
}

/** Every Markdown file at the root and in docs/. */
export function allPages(): Page[] {
  const inFolder = (folder: string) =>
    readdirSync(join(ROOT, folder))
      .filter((name) => name.endsWith('.md'))
      .map((name) => join(folder, name))
  return [...inFolder('.'), ...inFolder('docs')].sort().map(pageAt)
}

export function pageAt(path: string): Page {
  const text = readFileSync(join(ROOT, path), 'utf8')
  return { path: relative(ROOT, join(ROOT, path)), text, headings: headingsOf(text) }
}

/** The headings below one of depth 2, down to the next of depth 2. Throws where there is no such heading. */
export function below({ path, headings }: Page, title: string): readonly Heading[] {
  const from = headings.findIndex((heading) => heading.depth === 2 && heading.title === title)
  if (from < 0) throw new Error(`${path} has no heading "## ${title}"`)
  const rest = headings.slice(from + 1)
  const to = rest.findIndex(({ depth }) => depth <= 2)
  return to < 0 ? rest : rest.slice(0, to)
}

/** Throws where the page has none, or more than one, of this title. */
export function section({ path, headings }: Page, title: string): Heading {
  const found = headings.filter((heading) => heading.title === title)
  if (found.length !== 1) throw new Error(`${path} has ${found.length} headings "${title}"`)
  return found[0]
}

/** First cells of the rows of a table, without their links and back-ticks; `cells` are the others. */
export function rows(text: string): { readonly first: string; readonly cells: readonly string[] }[] {
  return [...text.matchAll(/^\| (.+) \|$/gm)].slice(1).map((match) => {
    const [first = '', ...cells] = (match[1] ?? '').split(/ \|/).map((cell) => cell.trim())
    return { first: first.replace(/^\[(.*)\]\(.*\)$/, '$1').replaceAll('`', ''), cells }
  })
}

/** Targets of links, those in code left out. */
export function linksOf({ text }: Page): string[] {
  return [...withoutCode(text).matchAll(/\]\(([^()\s]+)\)/g)].map((match) => match[1] ?? '')
}

/** Code blocks that say which file they are: ```ts file=PATH. */
export function filesOf({ text }: Page): { readonly path: string; readonly code: string }[] {
  return [...text.matchAll(/^```ts file=(\S+)\n([\s\S]*?)^```$/gm)].map((match) => ({
    path: match[1] ?? '',
    code: match[2] ?? '',
  }))
}

function withoutCode(text: string): string {
  return text.replace(/^```[\s\S]*?^```$/gm, '').replace(/`[^`\n]*`/g, '``')
}

function headingsOf(text: string): Heading[] {
  // a comment in a code block may look like a heading: blanked, so that places in the text stay
  const blanked = text.replace(/^```[\s\S]*?^```$/gm, (block) => block.replace(/^#/gm, ' '))
  const matches = [...blanked.matchAll(/^(#{1,6}) (.+)$/gm)]
  return matches.map((match, i) => {
    const title = (match[2] ?? '').replaceAll('`', '').trim()
    const begins = match.index + match[0].length
    const anchor = anchorOf(title)
    return { depth: match[1]?.length ?? 0, title, anchor, text: text.slice(begins, matches[i + 1]?.index) }
  })
}

/** As GitHub makes them: lower case, punctuation dropped, spaces as hyphens. */
function anchorOf(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^\p{L}\p{N}_\- ]/gu, '')
    .replaceAll(' ', '-')
}
