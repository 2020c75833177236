/** Where things of a container lie on this machine, since its process has no mounts of its own. */
import { mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { V1Container, V1Pod, V1Secret, V1Volume } from '@kubernetes/client-node'
import { type KubeletApi, statusOf } from './api.ts'

/** The kubelet keeps so much of a termination message. */
export const TERMINATION_MESSAGE_BYTES_MAX = 4096

export class VolumeMissing extends Error {
  override readonly name = 'VolumeMissing'
}

/** The volumes and the termination log of one pod, below a directory of its own. */
export class PodPlace {
  readonly dir: string
  readonly terminationLog: string
  readonly #api: KubeletApi
  #version = 0

  /** The pod's annotations as its container sees them now. */
  projected: Readonly<Record<string, string>> = {}

  constructor(root: string, pod: V1Pod, api: KubeletApi) {
    this.dir = join(root, pod.metadata?.uid ?? '')
    this.terminationLog = join(this.dir, 'termination-log')
    this.#api = api
  }

  volume(name: string): string {
    return join(this.dir, 'volumes', name)
  }

  /** Makes all volumes. Throws VolumeMissing where a Secret that is not optional does not exist. */
  async mount(pod: V1Pod): Promise<void> {
    for (const volume of pod.spec?.volumes ?? []) {
      await mkdir(this.volume(volume.name), { recursive: true })
      if (volume.secret !== undefined) await this.#mountSecret(pod, volume)
      if (volume.downwardAPI !== undefined) await this.project(pod)
    }
  }

  /** Writes the pod's annotations anew, as the kubelet does: a new directory, and `..data` swapped to it. */
  async project(pod: V1Pod): Promise<void> {
    this.projected = pod.metadata?.annotations ?? {}
    for (const volume of pod.spec?.volumes ?? []) {
      const items = volume.downwardAPI?.items ?? []
      const files = items.map((item): [string, string] => {
        const field = item.fieldRef?.fieldPath
        if (field !== 'metadata.annotations' && field !== 'metadata.labels')
          throw new Error(`this kubelet cannot project ${field}`)
        const fields = field === 'metadata.labels' ? pod.metadata?.labels : pod.metadata?.annotations
        return [item.path, keyValueLines(fields ?? {})]
      })
      if (files.length > 0) await this.#swap(volume.name, files)
    }
  }

  /** Reads what the container left as its last words, at most 4,096 bytes; empty where it left nothing. */
  async lastWords(): Promise<string> {
    try {
      const text = await readFile(this.terminationLog)
      return text.subarray(0, TERMINATION_MESSAGE_BYTES_MAX).toString()
    } catch {
      // a container that was killed wrote nothing
      return ''
    }
  }

  /** Each instance of a container gets an empty log. */
  async clearLastWords(): Promise<void> {
    await mkdir(this.dir, { recursive: true })
    await writeFile(this.terminationLog, '')
  }

  /** The pod is gone, and with it all that its process did not ship. */
  async remove(): Promise<void> {
    await rm(this.dir, { recursive: true, force: true })
  }

  /** Text of the container's environment, with its paths as they are on this machine. */
  translate(text: string, container: V1Container): string {
    let told = text.replaceAll(
      container.terminationMessagePath ?? '/dev/termination-log',
      this.terminationLog,
    )
    // the longest first: one mount may lie below another
    const mounts = [...(container.volumeMounts ?? [])].sort((a, b) => b.mountPath.length - a.mountPath.length)
    for (const { name, mountPath } of mounts) told = told.replaceAll(`"${mountPath}`, `"${this.volume(name)}`)
    return told
  }

  async #mountSecret(pod: V1Pod, volume: V1Volume): Promise<void> {
    const { secretName = '', optional = false, items } = volume.secret ?? {}
    const secret = await this.#secret(pod.metadata?.namespace ?? '', secretName)
    if (secret === undefined) {
      if (optional) return
      throw new VolumeMissing(`secret "${secretName}" not found`)
    }
    const data = Object.entries(secret.data ?? {})
    const wanted = items?.map(({ key, path }) => ({ key, path }))
    const files = data.flatMap(([key, value]): [string, string][] => {
      const path = wanted === undefined ? key : wanted.find((item) => item.key === key)?.path
      return path === undefined ? [] : [[path, Buffer.from(value, 'base64').toString()]]
    })
    await this.#swap(volume.name, files)
  }

  async #secret(namespace: string, name: string): Promise<V1Secret | undefined> {
    try {
      return await this.#api.get<V1Secret>(`/api/v1/namespaces/${namespace}/secrets/${name}`)
    } catch (error) {
      if (statusOf(error) === 404) return undefined
      throw error
    }
  }

  /** Files appear all at once: readers see the old ones or the new ones. */
  async #swap(volume: string, files: readonly [string, string][]): Promise<void> {
    const dir = this.volume(volume)
    const fresh = `..${String(++this.#version).padStart(6, '0')}`
    await mkdir(join(dir, fresh), { recursive: true })
    for (const [path, text] of files) await writeFile(join(dir, fresh, path), text)
    await replaceLink(join(dir, '..data'), fresh)
    for (const [path] of files) await replaceLink(join(dir, path), join('..data', path))
    await rm(join(dir, `..${String(this.#version - 1).padStart(6, '0')}`), { recursive: true, force: true })
  }
}

async function replaceLink(path: string, target: string): Promise<void> {
  await rm(`${path}.new`, { force: true })
  await symlink(target, `${path}.new`)
  await rename(`${path}.new`, path)
}

/** The kubelet's spelling: `key="value"` a line, sorted, the value quoted as Go does. */
function keyValueLines(fields: Readonly<Record<string, string>>): string {
  return Object.entries(fields)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .join('\n')
}
