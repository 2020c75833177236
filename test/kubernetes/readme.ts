/** The path of a new user, as README.md has it. */
import { pageAt } from '../docs/pages.ts'

/** What tells the heading of a real cluster from the others. */
const SIGN = 'kind create cluster'

/** The commands below the heading of a real cluster and its subheadings: a text for each block. Throws where none is. */
export function clusterPath(page = pageAt('README.md')): string[] {
  const at = page.headings.findIndex(({ text }) => text.includes(SIGN))
  if (at < 0) throw new Error(`${page.path} has no heading with "${SIGN}" below it`)
  // the sign may stand below a subheading of it
  let from = at
  while (from > 0 && (page.headings[from]?.depth ?? 0) > 2) from--
  const depth = page.headings[from]?.depth ?? 0
  const rest = page.headings.slice(from + 1)
  const to = rest.findIndex((heading) => heading.depth <= depth)
  const chapter = [page.headings[from], ...rest.slice(0, to < 0 ? rest.length : to)]
  return chapter.flatMap((heading) =>
    [...(heading?.text ?? '').matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, block = '']) => block),
  )
}
