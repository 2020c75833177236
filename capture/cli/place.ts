/** The PATH of a command: a directory of captured data. */
import { stat } from 'node:fs/promises'
import { CallError } from './call.ts'
import { systemText } from './system.ts'

/** The one PATH of a call. Throws CallError where there is none, or another one. */
export function onePath(command: string, positionals: readonly string[], what: string): string {
  const [path, ...more] = positionals
  const see = `see l2cap ${command} --help`
  if (path === undefined) throw new CallError(`l2cap ${command} needs ${what}; ${see}`)
  if (more.length > 0)
    throw new CallError(`l2cap ${command} takes one path, ${positionals.length} were given; ${see}`)
  return path
}

/** Throws CallError where the path is no directory that this version can read. */
export async function requireDirectory(path: string): Promise<void> {
  if (path.startsWith('s3://')) {
    throw new CallError(
      `${path} is in a bucket, and this version reads local directories only; copy it to one`,
    )
  }
  const found = await statOf(path)
  if (!found.isDirectory()) {
    throw new CallError(`${path} is a file; give the directory that holds manifest/ and parquet/`)
  }
}

/** Throws CallError where the path is no file. */
export async function requireFile(path: string): Promise<void> {
  const found = await statOf(path)
  if (!found.isFile()) throw new CallError(`${path} is no file; give the path of one file`)
}

async function statOf(path: string) {
  try {
    return await stat(path)
  } catch (error) {
    throw new CallError(`cannot read ${path}: ${systemText(error)}; check the path`)
  }
}

/** For a directory that holds no manifest. */
export function noManifest(path: string): CallError {
  return new CallError(
    `there is no manifest below ${path}; give the directory that holds manifest/ and parquet/`,
  )
}
