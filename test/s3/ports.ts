/** Ports for servers that cannot tell which one they got. */
import { randomInt } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'

/** Below those that the kernel gives to clients, and those of Kubernetes' NodePorts. */
const FIRST = 15_000
const END = 29_000
/** In /proc/net/tcp: the state of a socket that listens. */
const LISTENS = '0A'

/** A file for each port that a test has drawn: test files run side by side, and servers come and go on one port. */
const DRAWN = join(tmpdir(), `l2cap-ports-${userInfo().uid}`)
/** What a process that was killed has drawn is free again after this. */
const DRAWN_MS_MAX = 3_600_000
const mine: string[] = []

/** A port that no other test has drawn; this process keeps it until it ends, whether it listens there or not. */
export function randomPort(): number {
  mkdirSync(DRAWN, { recursive: true })
  for (;;) {
    const port = randomInt(FIRST, END)
    if (draw(join(DRAWN, String(port)))) return port
  }
}

function draw(file: string): boolean {
  try {
    if (Date.now() - statSync(file).mtimeMs < DRAWN_MS_MAX) return false
    rmSync(file, { force: true })
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error
  }
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' })
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false // somebody was faster
    throw error
  }
  if (mine.length === 0) process.once('exit', giveBack)
  mine.push(file)
  return true
}

function giveBack(): void {
  for (const file of mine) rmSync(file, { force: true })
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}

/**
 * Whether the process itself listens on the port: a stranger on it would answer a health check just as well.
 * True where the machine has no /proc to tell.
 */
export function listensOn(pid: number, port: number): boolean {
  const tables = ['/proc/net/tcp', '/proc/net/tcp6'].map(textOf).filter((text) => text !== '')
  if (tables.length === 0) return true
  const end = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const inodes = tables
    .flatMap((text) => text.trim().split('\n').slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local = '', , state]) => local.endsWith(end) && state === LISTENS)
    .map((fields) => `socket:[${fields[9]}]`)
  return openOf(pid).some((link) => inodes.includes(link))
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // no such table on this machine
  }
}

function openOf(pid: number): string[] {
  const dir = `/proc/${pid}/fd`
  try {
    return readdirSync(dir).map((name) => linkOf(join(dir, name)))
  } catch {
    return [] // it has ended
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return '' // closed since it was listed
  }
}
