/** What keeps one clean series where pods and runs follow each other. */
import type { Mutation } from './mutation.ts'

const CUT = 'capture/record/cut.ts'
const LINEAGE = 'capture/process/lineage.ts'
const HANDOVER = 'capture/process/handover.ts'

const CUT_TEST = 'test/record/cut.test.ts'
const LINEAGE_TEST = 'test/process/lineage.test.ts'
const PREDECESSOR_TEST = 'test/process/predecessor.test.ts'

export const HANDOVERS: readonly Mutation[] = [
  {
    name: 'the cut leaves out nothing',
    why: 'each hand-over doubles its overlap in a plain glob',
    file: CUT,
    find: 'return !this.#passed && isUpTo(place, this.#at)',
    replace: 'return !this.#passed && isUpTo(place, this.#at) && place.id < 0n',
    test: { file: CUT_TEST, name: 'holds the rows of one capture from the cut on, each as it was' },
  },
  {
    name: 'no whole book behind the cut',
    why: 'the first file after a hand-over does not read alone',
    file: CUT,
    find: 'this.#writeWhole(this.#whole, gap)',
    replace: '',
    test: { file: CUT_TEST, name: 'begins with a whole book, and its coverage with its first row' },
  },
  {
    name: 'the cut of a run follows what it published',
    why: 'a window that is recorded again after a kill loses its rows',
    file: LINEAGE,
    find: 'if (known !== undefined) return { predecessor, ...known }',
    replace: '',
    test: {
      file: LINEAGE_TEST,
      name: 'the cut of a run stays what it was, however often it is recorded again',
    },
  },
  {
    name: 'any manifest of the predecessor is its last',
    why: 'what it publishes after that is doubled, and nothing says so',
    file: HANDOVER,
    find: 'if (newest?.final === true) {',
    replace: 'if (newest !== undefined) {',
    test: {
      file: PREDECESSOR_TEST,
      name: 'has ended when the last manifest of its latest run says so',
    },
  },
  {
    name: 'an outage of the store counts as silence of the predecessor',
    why: 'every outage longer than a deadline makes rows double',
    file: HANDOVER,
    find: 'this.#answeredMs = undefined\n    if (why',
    replace: 'this.#answered()\n    if (why',
    test: { file: PREDECESSOR_TEST, name: 'is not given up while the store does not answer' },
  },
  {
    name: 'a predecessor is looked for today and yesterday alone',
    why: 'one that stopped days ago is waited for in vain, and one that ships a backlog counts as silent',
    file: HANDOVER,
    find: '(this.#newest?.day ?? since) - 1',
    replace: 'last - 1',
    test: { file: PREDECESSOR_TEST, name: 'is found by a last word of days ago, at once' },
  },
]
