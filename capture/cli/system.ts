/** Errors of the system in words for a person. Pure. */

const SYSTEM_TEXTS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or directory',
  ENOTDIR: 'a part of the path is a file, not a directory',
  EEXIST: 'it is a file, not a directory',
  EISDIR: 'it is a directory, not a file',
  EACCES: 'this user may not',
  EPERM: 'this user may not',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space is left on the device',
}

/** A system error in words; another error by its message. */
export function systemText(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return SYSTEM_TEXTS[code] ?? (error instanceof Error ? error.message : String(error))
}
