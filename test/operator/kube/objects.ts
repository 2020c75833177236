import type { KubeObject } from '../../../operator/kube/mod.ts'

/** An object in namespace x. */
export function objectOf(name: string, uid: string, version: number): KubeObject {
  return { metadata: { namespace: 'x', name, uid, resourceVersion: String(version) } }
}

/** A line of a watch. */
export function lineOf(type: string, object: unknown): string {
  return `${JSON.stringify({ type, object })}\n`
}

export function bookmark(version: number): string {
  return lineOf('BOOKMARK', { metadata: { resourceVersion: String(version) } })
}
