/**
 * A container of an unpacked image, with what a pod under "restricted" has: a read-only root, the image's own user, no
 * capability, no new rights. It has the network of the test, and nothing of it outlives the test's process.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DIES_WITH_US } from '../../support/children.ts'
import { waitFor } from '../../support/wait.ts'
import type { UnpackedImage } from './archive.ts'

/** A process namespace of its own: whoever is in it is killed with its first process. */
const TOGETHER = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc']

export interface ContainerOptions {
  /** For files of the container itself; its mounts lie elsewhere. */
  readonly dir: string
  /** In place of the image's entry point. */
  readonly command?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Directories and files of this machine, by their place in the container. */
  readonly mounts?: Readonly<Record<string, string>>
}

export class Container {
  readonly child: ChildProcess
  /** What it printed, on both outputs. */
  output = ''
  /** Until it printed its first line, from the start of the runtime; undefined until then. */
  firstLineMs: number | undefined
  readonly ended: Promise<number | null>

  constructor(image: UnpackedImage, options: ContainerOptions) {
    const name = `l2cap-test-${randomBytes(4).toString('hex')}`
    const bundle = join(options.dir, name)
    mkdirSync(bundle, { recursive: true })
    writeFileSync(join(bundle, 'config.json'), JSON.stringify(specOf(image, options, name)))
    const runc = ['runc', '--root', join(options.dir, 'runc'), 'run', '--bundle', bundle, name]
    const [command = '', ...args] = [...DIES_WITH_US, ...TOGETHER, ...runc]
    const startedMs = performance.now()
    this.child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    const keep = (text: Buffer) => {
      this.output += text
      if (this.output.includes('\n')) this.firstLineMs ??= performance.now() - startedMs
    }
    this.child.stdout?.on('data', keep)
    this.child.stderr?.on('data', keep)
    const { promise, resolve } = Promise.withResolvers<number | null>()
    this.child.once('error', (error) => {
      this.output += error.message
      resolve(null)
    })
    this.child.once('close', resolve)
    this.ended = promise
  }

  /** The container's first process, as this machine counts; undefined where there is none, or not yet. */
  get pid(): number | undefined {
    const runtime = onlyChildOf(this.child.pid)
    return onlyChildOf(runtime)
  }

  /** At once. It is the process that is killed, and not its runtime, which then takes away all that it made. */
  async kill(): Promise<void> {
    if (this.pid === undefined) this.child.kill('SIGKILL')
    else process.kill(this.pid, 'SIGKILL')
    await this.ended
  }

  /** The same once it is there: a look may come while a thread of the runtime ends. Throws where none comes. */
  async firstProcess(): Promise<number> {
    return await waitFor('the first process of the container', () => this.pid, { show: () => this.output })
  }

  /** In order. Resolves with the exit code. */
  async stop(): Promise<number | null> {
    process.kill(await this.firstProcess(), 'SIGTERM')
    return await this.ended
  }
}

/** A child belongs to the thread that made it. */
function onlyChildOf(pid: number | undefined): number | undefined {
  if (pid === undefined) return undefined
  try {
    const threads = readdirSync(`/proc/${pid}/task`)
    const children = threads.map((thread) => readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8'))
    const [child] = children.join(' ').split(' ').filter(Boolean)
    return child === undefined ? undefined : Number(child)
  } catch {
    return undefined // it has ended, or a thread has while we looked
  }
}

function specOf(
  { config, root }: UnpackedImage,
  { command, env = {}, mounts = {} }: ContainerOptions,
  id: string,
) {
  const [uid, gid] = config.config.User.split(':').map(Number)
  const none: string[] = []
  return {
    ociVersion: '1.0.2',
    hostname: id,
    process: {
      user: { uid, gid },
      args: command ?? config.config.Entrypoint,
      env: [...config.config.Env, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)],
      cwd: config.config.WorkingDir,
      noNewPrivileges: true,
      capabilities: { bounding: none, effective: none, permitted: none, inheritable: none, ambient: none },
    },
    root: { path: root, readonly: true },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      {
        destination: '/dev',
        type: 'tmpfs',
        source: 'tmpfs',
        options: ['nosuid', 'noexec', 'mode=755', 'size=64k'],
      },
      ...Object.entries(mounts).map(([destination, source]) => ({
        ...{ destination, source, type: 'bind', options: ['bind', 'rw'] },
      })),
    ],
    linux: { namespaces: ['pid', 'mount', 'ipc', 'uts'].map((type) => ({ type })) },
  }
}
