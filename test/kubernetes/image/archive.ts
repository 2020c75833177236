/** An image as its archive has it: its configuration, and the files of all its layers, unpacked. Needs root. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { lstatSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { z } from 'zod'

const Manifest = z.tuple([z.object({ Config: z.string(), Layers: z.array(z.string()) })])

const Config = z.object({
  created: z.string(),
  os: z.string(),
  config: z.object({
    User: z.string(),
    Env: z.array(z.string()),
    Entrypoint: z.array(z.string()),
    Cmd: z.array(z.string()).nullish(),
    WorkingDir: z.string(),
    Labels: z.record(z.string(), z.string()),
    StopSignal: z.string(),
  }),
  rootfs: z.object({ diff_ids: z.array(z.string()) }),
  history: z.array(z.object({ created_by: z.string() })),
})
export type ImageConfig = z.infer<typeof Config>

/** A file or directory of the image. */
export interface Entry {
  /** From the root of the image, with a slash before it; a directory's has one behind it as well. */
  readonly path: string
  /** Permissions, with set-user-id and the like. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly bytes: number
  readonly modifiedMs: number
  /** SHA-256, of a plain file; undefined for anything else. */
  readonly hash: string | undefined
  /** A link, a device or a socket: nothing that a layer of ours has. */
  readonly isOdd: boolean
}

export class UnpackedImage {
  /** Where the files lie. */
  readonly root: string
  readonly config: ImageConfig
  readonly entries: readonly Entry[]

  /** Unpacks it below the directory, which is made. Throws where the archive is none, or layers take files away. */
  constructor(archive: string, dir: string) {
    const parts = join(dir, 'archive')
    this.root = join(dir, 'root')
    for (const one of [parts, this.root]) mkdirSync(one, { recursive: true })
    execFileSync('tar', ['-xf', archive, '-C', parts])
    const [{ Config: path, Layers }] = Manifest.parse(
      JSON.parse(readFileSync(join(parts, 'manifest.json'), 'utf8')),
    )
    this.config = Config.parse(JSON.parse(readFileSync(join(parts, path), 'utf8')))
    for (const layer of Layers) {
      execFileSync('tar', ['--numeric-owner', '-xpf', join(parts, layer), '-C', this.root])
    }
    this.entries = entriesBelow(this.root)
    const gone = this.entries.find((entry) => /\/\.wh\./.test(entry.path))
    if (gone !== undefined) throw new Error(`a layer takes away what lies below it: ${gone.path}`)
  }

  /** Size of all its files; what a registry passes on is less than half of it. */
  get bytes(): number {
    return this.entries.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  read(path: string): Buffer {
    return readFileSync(join(this.root, path))
  }
}

function entriesBelow(root: string): Entry[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .map((found): Entry => {
      const at = join(found.parentPath, found.name)
      const { mode, uid, gid, size, mtimeMs } = lstatSync(at)
      const [isFile, isDirectory] = [found.isFile(), found.isDirectory()]
      return {
        path: `/${relative(root, at)}${isDirectory ? '/' : ''}`,
        mode: mode & 0o7777,
        ...{ uid, gid },
        bytes: isFile ? size : 0,
        modifiedMs: mtimeMs,
        hash: isFile ? createHash('sha256').update(readFileSync(at)).digest('hex') : undefined,
        isOdd: !isFile && !isDirectory,
      }
    })
    .sort((a, b) => (a.path < b.path ? -1 : 1))
}
