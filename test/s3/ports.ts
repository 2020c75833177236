/** Ports for servers that cannot tell which one they got. */
import { randomInt } from 'node:crypto'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'

/** Below those that the kernel gives to clients, and those of Kubernetes' NodePorts. */
const FIRST = 15_000
const END = 29_000
/** In /proc/net/tcp: the state of a socket that listens. */
const LISTENS = '0A'

export function randomPort(): number {
  return randomInt(FIRST, END)
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
