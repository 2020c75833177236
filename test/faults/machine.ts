/** What tests do to this machine; all of it is undone by the one who asked for it. */
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'

/** What a command ended with. */
interface Ended {
  readonly error?: Error | undefined
  readonly status: number | null
  readonly stderr: Buffer
}

/** Why a command failed, in its own words; empty where it did not. */
export function problemOf({ error, status, stderr }: Ended): string {
  if (error !== undefined) return error.message
  return status === 0 ? '' : String(stderr).trim() || `it ended with ${status}`
}

function run(command: string, ...args: string[]): void {
  const problem = problemOf(spawnSync(command, args))
  if (problem !== '') throw new Error(`${command} ${args.join(' ')}: ${problem}`)
}

/** A file system of a test. */
export interface Mounted {
  /** Remounts it with these options. */
  remount(options: string): void
  unmount(): void
}

/** Mounts a file system in memory of so many bytes. Throws with the words of mount. */
export function mountMemory(dir: string, bytes: number): Mounted {
  mkdirSync(dir, { recursive: true })
  run('mount', '-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', dir)
  return mounted(dir)
}

/** Makes an ext4 file system in a file and mounts it through a loop device. Throws with the words of the tools. */
export function mountFile(dir: string, image: string, bytes: number): Mounted {
  run('truncate', '-s', String(bytes), image)
  run('mkfs.ext4', '-q', '-F', image)
  return mountAgain(dir, image)
}

/** Mounts what an image holds: a journal is replayed, as after a loss of power. */
export function mountAgain(dir: string, image: string): Mounted {
  mkdirSync(dir, { recursive: true })
  run('mount', '-o', 'loop', image, dir)
  return mounted(dir)
}

function mounted(dir: string): Mounted {
  return {
    remount: (options) => run('mount', '-o', `remount,${options}`, dir),
    unmount: () => run('umount', dir),
  }
}

/** Why no file system can be mounted here; empty where one can. */
export function mountProblem(mount: (dir: string) => Mounted): string {
  const dir = `/tmp/l2cap-mount-${process.pid}`
  try {
    mount(dir).unmount()
    return ''
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    rmSync(dir, { recursive: true, force: true })
    rmSync(`${dir}.image`, { force: true })
  }
}

/** Of FS_IOC_SHUTDOWN: all that is not on the disk yet is lost, the journal of the file system too. */
const SHUTDOWN = 0x8004587d
const NO_LOG_FLUSH = 2

/** The power goes for one file system. Throws with the words of the kernel. */
export function losePower(dir: string): void {
  const program = `import fcntl, os, struct; fcntl.ioctl(os.open(${JSON.stringify(dir)}, os.O_RDONLY), ${SHUTDOWN}, struct.pack("I", ${NO_LOG_FLUSH}))`
  run('python3', '-c', program)
}

/** Makes each such call of a process on this file fail with EIO, from now on. Resolves when it is so. */
export async function failCalls(pid: number, call: string, path: string): Promise<void> {
  const inject = ['-e', `trace=${call}`, '-e', `inject=${call}:error=EIO`, '-P', path]
  const tracer = spawn(
    'strace',
    ['-f', '-o', '/dev/null', '-e', 'signal=none', ...inject, '-p', String(pid)],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  )
  let said = ''
  // read to its end, which is the end of the process: a tracer that nobody hears dies, and the calls work again
  await new Promise<void>((attached, failed) => {
    tracer.stderr.on('data', (text) => {
      said += text
      if (said.includes('attached')) attached()
    })
    tracer.once('error', failed)
    tracer.once('exit', () => failed(new Error(`strace ended: ${said}`)))
  })
}

/** Why strace cannot attach to processes here; empty where it can. */
export function straceProblem(): string {
  return problemOf(spawnSync('sh', ['-c', 'sleep 0.2 & exec strace -qq -o /dev/null -p $!']))
}
