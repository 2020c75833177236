/** What a WebSocket path asks for: route, kind of socket, names of streams. */
import type { Route } from '../streams.ts'

export interface Target {
  readonly route: Route
  readonly combined: boolean
  readonly names: readonly string[]
}

/** Reads route, kind and stream names out of a path with its query; undefined for one that does not exist. */
export function targetOf(url: string): Target | undefined {
  const { pathname, searchParams } = new URL(url, 'http://sim')
  const match = /^\/(public|market)\/(stream|ws)(?:\/(.+))?\/?$/.exec(pathname)
  if (match === null) return undefined
  const route: Route = match[1] === 'public' ? 'public' : 'market'
  const combined = match[2] === 'stream'
  if (combined) {
    return match[3] === undefined ? { route, combined, names: split(searchParams.get('streams')) } : undefined
  }
  try {
    return { route, combined, names: split(decodeURIComponent(match[3] ?? '')) }
  } catch {
    // A path that is no valid percent-encoding names nothing; the client gets a 404.
    return undefined
  }
}

function split(names: string | null): string[] {
  return (names ?? '').split('/').filter((name) => name !== '')
}
