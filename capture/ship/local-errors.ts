/** What a system error of a local directory means to the person who runs the capture. */
import { BucketError, type BucketErrorClass } from './bucket.ts'
import { systemCode } from './durable.ts'

interface Meaning {
  readonly code: string
  readonly class: BucketErrorClass
  readonly words: string
}

const NOT_WRITABLE: Meaning = {
  code: 'not_permitted',
  class: 'configuration',
  words: 'this is not permitted; give the process the right to it, or choose another directory',
}
const READ_ONLY: Meaning = {
  code: 'read_only',
  class: 'configuration',
  words: 'the file system is read-only; mount it writable, or choose another directory',
}
const NOT_A_DIRECTORY: Meaning = {
  code: 'not_a_directory',
  class: 'configuration',
  words: 'a file stands where a directory is needed; move it away, or choose another directory',
}
const NOT_A_FILE: Meaning = {
  code: 'not_a_file',
  class: 'configuration',
  words: 'a directory stands where the object is to go; move it away, or choose another directory',
}
const NAME_TOO_LONG: Meaning = {
  code: 'name_too_long',
  class: 'configuration',
  words: 'the path is too long for this file system; choose a shorter directory or prefix',
}
/** Room may come back by itself, and what waits is safe in the spool: hence transient. */
const NO_SPACE: Meaning = {
  code: 'no_space',
  class: 'transient',
  words: 'no space is left (or the quota is used up); make room, the capture tries again by itself',
}
const DISK_ERROR: Meaning = {
  code: 'disk_error',
  class: 'integrity',
  words: 'the disk reports an error; check it before trusting what it holds',
}

const MEANINGS: Readonly<Record<string, Meaning>> = {
  EACCES: NOT_WRITABLE,
  EPERM: NOT_WRITABLE,
  EROFS: READ_ONLY,
  ENOTDIR: NOT_A_DIRECTORY,
  EEXIST: NOT_A_DIRECTORY,
  EISDIR: NOT_A_FILE,
  ENAMETOOLONG: NAME_TOO_LONG,
  ENOSPC: NO_SPACE,
  EDQUOT: NO_SPACE,
  EIO: DISK_ERROR,
}

/** Turns a system error into a BucketError; an unknown one is `io_error`, transient, with its own code. */
export function explainLocalError(error: unknown, doing: string): BucketError {
  const code = systemCode(error)
  const meaning = Object.hasOwn(MEANINGS, code) ? MEANINGS[code] : undefined
  if (meaning === undefined) {
    return new BucketError('io_error', 'transient', `${doing}: ${code}, an unforeseen system error`, {
      cause: error,
    })
  }
  return new BucketError(meaning.code, meaning.class, `${doing}: ${meaning.words} (${code})`, {
    cause: error,
  })
}
