import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseTrace } from './trace.ts'

const RUN = '20261122T190915183Z-517af3b1'
const MAIN = '100'
/** What strace writes of two threads, cut to what it takes. */
const TEXT = [
  `${MAIN} openat(AT_FDCWD</>, "/p/spool/lock.json.tmp", O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0666) = 22</p/spool/lock.json.tmp>`,
  `${MAIN} write(22</p/spool/lock.json.tmp>, "/p/other", 63) = 63`,
  `107 openat(AT_FDCWD</>, "/p/spool/journal", O_RDONLY|O_CLOEXEC) = 23</p/spool/journal>`,
  `107 mkdir("/p/spool", 0777) = -1 EEXIST (File exists)`,
  `107 openat(AT_FDCWD</>, "/p/spool/journal/${RUN}-000000.journal", O_WRONLY|O_CREAT|O_EXCL, 0640) = 24</p/spool/journal/${RUN}-000000.journal>`,
  `107 write(19<anon_inode:[eventfd]>, "\\1\\0", 8) = 8`,
  `107 write(24</p/spool/journal/${RUN}-000000.journal>, "\\221", 45883 <unfinished ...>`,
  `${MAIN} write(1<pipe:[1]>, "{}", 3) = 3`,
  `107 <... write resumed>) = 45883`,
  `107 write(24</p/spool/journal/${RUN}-000000.journal>, "\\322", 7) = 7`,
  `107 rename("/p/data/stream=trades/.l2cap-tmp-3851-e76e82501affb840", "/p/data/stream=trades/190915Z-${RUN}-000000.parquet") = 0`,
  `107 rename("/p/spool/tmp/${RUN}-000001-3039de8b", "/p/spool/sealed/${RUN}-000001") = ?`,
  '107 +++ killed by SIGKILL +++',
].join('\n')

describe('what strace wrote', () => {
  const calls = parseTrace(TEXT, '/p', MAIN, false)

  it('calls that change the place are found, in order and by what they do; others and failures are left out', () => {
    assert.deepEqual(
      calls.map(({ label }) => label),
      [
        'openat spool/lock.json.tmp',
        'write spool/lock.json.tmp',
        'openat spool/journal/RUN-000000.journal',
        'write spool/journal/RUN-000000.journal',
        'write spool/journal/RUN-000000.journal, time 2',
        'rename data/stream=trades/.l2cap-tmp to data/stream=trades/190915Z-RUN-000000.parquet',
        'rename spool/tmp/RUN-000001-RANDOM to spool/sealed/RUN-000001',
      ],
    )
  })

  it('they are counted on their thread, with those that change nothing', () => {
    assert.deepEqual(
      calls.map(({ nth, inMain }) => [nth, inMain]),
      [
        [1, true],
        [1, true],
        [2, false],
        [2, false],
        [3, false],
        [1, false],
        [2, false],
      ],
    )
  })

  it('of two windows or two streams they are of one kind', () => {
    assert.deepEqual(
      calls.slice(-2).map(({ kind }) => kind),
      [
        'rename data/stream/.l2cap-tmp to data/stream/WINDOW.parquet',
        'rename spool/tmp/WINDOW-RANDOM to spool/sealed/WINDOW',
      ],
    )
  })

  it('the one at which the process died was not done', () => {
    assert.deepEqual(
      calls.map(({ done }) => done),
      [true, true, true, true, true, true, false],
    )
  })

  it('of the main thread alone no line names a thread', () => {
    const [call] = parseTrace('mkdir("/p/spool", 0777) = 0', '/p', MAIN, true)
    assert.equal(call?.inMain, true)
  })
})
