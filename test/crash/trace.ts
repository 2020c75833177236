/** System calls that change files, as strace sees them: how to trace them, and how to read what it wrote. */
import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { relative } from 'node:path'

/** Calls that change files or names, under every name that a C library gives them. */
const CALLS =
  'open,openat,creat,write,writev,pwrite64,pwritev,fsync,fdatasync,truncate,ftruncate,rename,renameat,renameat2,link,unlink,unlinkat,rmdir,mkdir,mkdirat'
/** Opening changes something only where it creates or empties. */
const OPENS = ['open', 'openat', 'creat']
/** With each descriptor its path. strace's filter in the kernel is not used: with it no signal is injected. */
const STRACE = ['-y', '-e', `trace=${CALLS}`, '-e', 'signal=none']

/** A system call on a place, in the order of their happening. */
export interface Call {
  readonly call: string
  /** Which one of this name it is on its thread, from 1. */
  readonly nth: number
  /** Made by the main thread, not by that which makes the calls to files for it. */
  readonly inMain: boolean
  /** What it does to what, the same in each life: `fsync journal/RUN-000001.journal, 2nd`. */
  readonly label: string
  /** The same without which window, which stream and which time. */
  readonly kind: string
  /** False where the process died as it entered it. */
  readonly done: boolean
}

/** Where a process dies: as it enters a call, which has not happened then, or just after it. */
export interface Point extends Pick<Call, 'call' | 'nth' | 'inMain'> {
  readonly after: boolean
}

/**
 * Attaches strace to a process, which writes the calls to a file and kills the process at a point. Resolves when it
 * is attached; `ended` when all is written.
 */
export class Tracer {
  readonly #file: string
  readonly #point: Point | undefined
  #ended: Promise<unknown> = Promise.resolve()
  #main = ''

  constructor(file: string, point?: Point) {
    this.#file = file
    this.#point = point
  }

  readonly attach = async (child: ChildProcess): Promise<void> => {
    const point = this.#point
    // a call goes on under SIGSTOP, and does not under SIGKILL
    const signal = point?.after ? 'STOP' : 'KILL'
    const inject =
      point === undefined ? [] : ['-e', `inject=${point.call}:signal=${signal}:when=${point.nth}`]
    this.#main = String(child.pid)
    // the number of a call counts on each thread: with the other one left out it is one call's alone
    const threads = [
      ...(point?.inMain === false ? [] : [this.#main]),
      ...(point?.inMain ? [] : [filesThread(this.#main)]),
    ]
    const args = [...STRACE, ...inject, '-o', this.#file, ...threads.flatMap((thread) => ['-p', thread])]
    const strace = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] })
    let said = ''
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    strace.stderr.on('data', (text) => {
      said += text
      if (said.split('attached').length > threads.length) resolve()
    })
    strace.once('error', reject)
    this.#ended = new Promise((done) => {
      strace.once('close', () => {
        reject(new Error(`strace ended: ${said}`))
        done(undefined)
      })
    })
    await promise
    if (point?.after) void killWhenStopped(child)
  }

  /** The calls on a place that changed something or were about to, once the process is gone. */
  async calls(dir: string): Promise<Call[]> {
    await this.#ended
    return parseTrace(await readFile(this.#file, 'utf8'), dir, this.#main, this.#point?.inMain === true)
  }
}

const STOPPED_POLL_MS = 5

async function killWhenStopped(child: ChildProcess): Promise<void> {
  while (child.exitCode === null && child.signalCode === null) {
    if (isStopped(String(child.pid))) child.kill('SIGKILL')
    await new Promise((wake) => setTimeout(wake, STOPPED_POLL_MS))
  }
}

/** Whether a process is stopped: a traced thread says so otherwise, those of the engine are not traced. */
function isStopped(pid: string): boolean {
  try {
    const tasks = `/proc/${pid}/task`
    return readdirSync(tasks).some((task) => / T \d/.test(readFileSync(`${tasks}/${task}/stat`, 'utf8')))
  } catch {
    // it ends just now, and with it what is told of it
    return false
  }
}

/** The one thread of libuv's pool, which is named for that. */
function filesThread(pid: string): string {
  const tasks = `/proc/${pid}/task`
  const found = readdirSync(tasks).filter((task) =>
    readFileSync(`${tasks}/${task}/comm`, 'utf8').startsWith('libuv-worker'),
  )
  if (found.length !== 1) throw new Error(`process ${pid} has ${found.length} threads for files, not one`)
  return found[0]
}

/** The calls below a directory in what strace wrote: with a thread's number before each, where it traced two. */
export function parseTrace(text: string, dir: string, main: string, onlyMain: boolean): Call[] {
  const onThread = new Map<string, number>()
  const ofLabel = new Map<string, number>()
  const calls: Call[] = []
  for (const line of text.split('\n')) {
    const [, thread = onlyMain ? main : '', call = '', rest = ''] =
      /^(?:(\d+) +)?(\w+)\((.*)/.exec(line) ?? []
    if (call === '') continue
    const nth = count(onThread, `${thread} ${call}`)
    if (OPENS.includes(call) && !/O_CREAT|O_TRUNC/.test(rest)) continue
    if (/ = -1 E[A-Z]+ /.test(rest)) continue
    const touched = pathsIn(call, rest).filter((path) => path.startsWith(`${dir}/`))
    if (touched.length === 0) continue
    const what = `${call} ${touched.map((path) => timeless(relative(dir, path))).join(' to ')}`
    const time = count(ofLabel, what)
    const label = time === 1 ? what : `${what}, time ${time}`
    calls.push({
      call,
      nth,
      inMain: thread === main,
      label,
      kind: kindOf(what),
      done: !line.endsWith('= ?'),
    })
  }
  return calls
}

function count(counts: Map<string, number>, key: string): number {
  const found = (counts.get(key) ?? 0) + 1
  counts.set(key, found)
  return found
}

/** Paths that a call names, or that of its descriptor, which is its first argument. */
function pathsIn(call: string, rest: string): string[] {
  const descriptor = /^\d+<([^>]*)>/.exec(rest)?.[1]
  if (descriptor !== undefined) return [descriptor]
  // of what a rename or a link has, two; what else stands in quotes is no path
  return [...rest.matchAll(/"([^"]*)"/g)]
    .map((match) => match[1])
    .slice(0, /^(rename|link)/.test(call) ? 2 : 1)
}

/** A path without what is another one in each life: runs, random names. */
function timeless(path: string): string {
  return path
    .replaceAll(/\d{8}T\d{9}Z-[0-9a-f]{8}/g, 'RUN')
    .replaceAll(/\.l2cap-tmp-\d+-[0-9a-f]+/g, '.l2cap-tmp')
    .replaceAll(/(RUN-\d{6}(?:-unsealed)?)-[0-9a-f]{8}/g, '$1-RANDOM')
}

function kindOf(what: string): string {
  return what
    .replaceAll(/(\d{6}Z-)?RUN-\d{6}/g, 'WINDOW')
    .replaceAll(/date=[\d-]+/g, 'date')
    .replaceAll(/stream=\w+/g, 'stream')
    .replaceAll(/[a-z_\d]+\.parquet/g, 'STREAM.parquet')
}
