/** What keeps the journal true: frames, syncs, a full disk, recovery, and the replay that vouches for a segment. */
import type { Mutation } from './mutation.ts'

const APPEND = 'capture/journal/append-file.ts'
const FRAME = 'capture/journal/frame.ts'
const KEEPER = 'capture/process/keeper.ts'
const RECOVER = 'capture/journal/recover.ts'
const WINDOWS = 'capture/process/windows.ts'

const FULL_TEST = 'test/journal/full.test.ts'
const KEEPER_TEST = 'test/process/keeper.test.ts'
const RECOVER_TEST = 'test/journal/recover.test.ts'
const WRITER_TEST = 'test/journal/writer.test.ts'

export const DISK: readonly Mutation[] = [
  {
    name: 'checksums of the journal are not compared',
    why: 'a flipped bit becomes a row',
    file: FRAME,
    find: 'return crc === source.readUInt32LE(at + 4) ? bodyBytes : FRAME_BAD',
    replace: 'return crc === -1 ? FRAME_BAD : bodyBytes',
    test: {
      file: 'test/journal/reader.test.ts',
      name: 'reader: every flipped byte of a small sealed segment is found (exhaustive)',
    },
  },
  {
    name: 'a short write counts as whole',
    why: 'the journal has a hole, and the state goes on as if it had none',
    file: APPEND,
    find: 'if (bytes !== slice.length) {',
    replace: 'if (bytes < 0) {',
    test: {
      file: FULL_TEST,
      name: 'short: what waited is written into the room that was made, once, and the trailer after it',
    },
  },
  {
    name: 'a failed sync counts as done',
    why: 'what the kernel dropped is believed to be on disk, and is gone after a power loss',
    file: APPEND,
    find: "this.#fail('JournalFailed', 'could not be synced', this.#written, cause)",
    replace: 'this.#didSync(bytes)',
    test: {
      file: WRITER_TEST,
      name: 'writer: a failed sync is never tried again, of the file or of its directory',
    },
  },
  {
    name: 'an error of the disk does not halt',
    why: 'the capture goes on without a journal, and nobody is told',
    file: KEEPER,
    find: "else this.#options.onHalt('DiskFailed', error.message)",
    replace: '',
    test: { file: KEEPER_TEST, name: 'an error of the disk is no want of room: halt DiskFailed' },
  },
  {
    name: 'a disk that is nearly full is written on',
    why: 'the kubelet evicts the pod and deletes what is not shipped',
    file: KEEPER,
    find: "if (full !== '' && current === this.#current && !current.run.ended) this.#onFull(full)",
    replace: '',
    test: {
      file: KEEPER_TEST,
      name: 'disk_full: beyond a mark the run ends in order, the feed closes, and below the low-water mark a new run begins',
    },
  },
  {
    name: 'a run begins on a disk that is still full',
    why: 'runs of a second each, without end',
    file: KEEPER,
    find: 'if (this.#ending || !low || ',
    replace: 'if (this.#ending || ',
    test: {
      file: KEEPER_TEST,
      name: 'disk_full: beyond a mark the run ends in order, the feed closes, and below the low-water mark a new run begins',
    },
  },
  {
    name: 'the reserve is not given up',
    why: 'a full disk takes the closing record: the end looks like a crash',
    file: KEEPER,
    find: 'makeRoom: () => room.release(),',
    replace: 'makeRoom: async () => false,',
    test: {
      file: KEEPER_TEST,
      name: 'ENOSPC: the reserve takes what waited and the closing record; nothing is lost, no halt',
    },
  },
  {
    name: 'a torn tail is not cut',
    why: 'the segment never becomes whole: every start meets the same damage',
    file: RECOVER,
    find: 'await file.truncate(goodBytes)',
    replace: '',
    test: {
      file: RECOVER_TEST,
      name: 'recover: a torn tail is cut at the first bad frame and kept aside, from any offset',
    },
  },
  {
    name: 'damage in the middle passes for a crash',
    why: 'what lies behind it is cut off, and nobody is told',
    file: 'capture/journal/reader.ts',
    find: "if (scan === 'nothing') return",
    replace: "if (scan !== 'unsure') return",
    test: {
      file: 'test/journal/reader.test.ts',
      name: 'reader: a damaged frame before whole ones is corrupt, also when its length swallows them',
    },
  },
  {
    name: 'two processes share a spool',
    why: 'each deletes and ships what the other writes',
    file: 'capture/journal/lock.ts',
    find: '; BEGIN EXCLUSIVE',
    replace: '',
    test: {
      file: 'test/journal/lock.test.ts',
      name: 'lock: within one process too, until it is released',
    },
  },
  {
    name: 'the hash of the trailer is not compared',
    why: 'a replay that ends elsewhere than the live run is published',
    file: 'capture/record/record.ts',
    find: '&& hash !== end.trailer.stateHash) {',
    replace: "&& hash === '') {",
    test: {
      file: 'test/record/record.test.ts',
      name: 'mismatch: a replay that ends in another state than its trailer says is told, and gets no manifest',
    },
  },
  {
    name: 'windows after a mismatch are published',
    why: 'their checkpoints descend from a state that nobody vouches for',
    file: WINDOWS,
    find: 'if (window >= (this.#quarantined.get(run) ?? Number.POSITIVE_INFINITY)) {',
    replace: 'if (window < 0) {',
    test: {
      file: 'test/process/quarantine.test.ts',
      name: 'ends its run: the windows after it follow it into quarantine, unread, and it halts once',
    },
  },
  {
    name: 'a start forgets what is in quarantine',
    why: 'the rest of a run that was not vouched for is published after a kill',
    file: WINDOWS,
    find: 'if (position !== undefined) this.#stopPublishing(position.run, position.window)',
    replace: '',
    test: {
      file: 'test/process/quarantine.test.ts',
      name: 'is remembered by the next start: what is left of its run goes the same way',
    },
  },
  {
    name: 'a crash ends no coverage',
    why: 'the time between a kill and the next start is claimed',
    file: 'capture/record/replay.ts',
    find: "if (end.end !== 'sealed') {",
    replace: "if (end.end === 'corrupt') {",
    test: {
      file: 'test/record/record.test.ts',
      name: 'crash: a segment without a trailer ends coverage as a crash, and nothing witnesses it',
    },
  },
  {
    name: 'Parquet is not read back',
    why: 'a file with rows missing is sealed, and its segment may go',
    file: 'capture/record/record.ts',
    find: 'if (found.rows !== expected)\n',
    replace: 'if (found.rows < 0)\n',
    test: {
      file: 'test/record/record.test.ts',
      name: 'read back: a file that does not hold what was written is not sealed',
    },
  },
]
