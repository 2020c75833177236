/**
 * Test files that are named, in the order that order.ts gives them. What was skipped is named in one closing line, and
 * is a failure under CI, but for what somebody's cluster makes necessary.
 */
import { runGroups, type Skipped } from '../support/passes.ts'
import { groupsOf } from './order.ts'
import { SOMEBODYS } from './target.ts'

const namesOf = (all: readonly Skipped[]) => all.map(({ name, why }) => `${name} (${why})`).join('; ')

const { passed, skipped } = await runGroups(groupsOf(process.argv.slice(2)))
if (skipped.length > 0) process.stdout.write(`\nskipped: ${namesOf(skipped)}\n`)
const needless = skipped.filter(({ why }) => why !== SOMEBODYS)
const refused = process.env['CI'] !== undefined && needless.length > 0
if (refused) process.stdout.write(`a skipped test is a failure under CI: ${namesOf(needless)}\n`)
process.exit(passed && !refused ? 0 : 1)
