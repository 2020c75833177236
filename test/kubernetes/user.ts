/**
 * A new user's shell: bash in the project's directory, with kubectl, helm and npx as they are, on the cluster of the
 * tests. What a machine of tests cannot have is stood in for by commands of the same names (`STAND_INS`).
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import { programPath } from '../cluster/mod.ts'
import { waitFor } from '../support/wait.ts'
import { IMAGES } from './images.ts'
import { call, type Target } from './target.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const TAG = join(import.meta.dirname, 'nodes/tag.sh')
const BLOCK_WITHIN_MS = 900_000

/** What commands of the README become, and why. All others are run as they stand. */
const STAND_INS = {
  /** The cluster is there. An image that is loaded is the one that was built of the same Dockerfile, under this name. */
  kind: `first=\${3%%/*}
case "$1 $2" in
  "create cluster") ;;
  "load docker-image")
    # as containerd spells what was named in short
    if [ "$first" = "$3" ]; then name=docker.io/library/$3
    elif [[ $first == *[.:]* || $first == localhost ]]; then name=$3
    else name=docker.io/$3; fi
    [ -z "$CLUSTER_DIR" ] || exec "$TAG_IMAGE" "$CLUSTER_DIR" "$PRODUCT" "$name" ;;
  *) echo "no stand-in for: kind $*" >&2; exit 1 ;;
esac`,
  /** There is no Docker, and the image was built before the cluster was started. */
  docker: `case "$1" in build) [ -f Dockerfile ] ;; *) echo "no stand-in for: docker $*" >&2; exit 1 ;; esac`,
  /** The simulated exchange in place of the real one; on somebody's cluster the image that is there. */
  helm: `case "$1" in
  install|upgrade) exec "$HELM" "$@" --set "settings.endpoints.BinanceUsdm=$EXCHANGE" $HELM_MORE ;;
  *) exec "$HELM" "$@" ;;
esac`,
  /**
   * The tree of the tests has its packages, and must keep them. A user's `npm ci` takes seconds, after which the
   * port-forward that was begun before it is there: this one takes until then, or two minutes where there is none.
   */
  npm: `[ "$*" = ci ] && [ -d node_modules ] || { echo "no stand-in for: npm $*" >&2; exit 1; }
for _ in {1..600}; do (: </dev/tcp/127.0.0.1/9000) 2>/dev/null && exit 0; sleep 0.2; done`,
} as const

export interface UserOptions {
  readonly target: Target
  /** Where kubectl and helm work unless they are told otherwise. */
  readonly namespace: string
  /** Address of the exchange. */
  readonly exchange: string
}

export class User {
  readonly #dir: string
  readonly #bash: ChildProcess
  readonly #closed: Promise<unknown>
  #blocks = 0
  #output = ''

  private constructor(dir: string, bash: ChildProcess) {
    this.#dir = dir
    this.#bash = bash
    this.#closed = once(bash, 'close')
    for (const stream of [bash.stdout, bash.stderr]) {
      stream?.setEncoding('utf8')
      stream?.on('data', (text: string) => {
        this.#output += text
      })
    }
  }

  static async start({ target, namespace, exchange }: UserOptions): Promise<User> {
    const dir = await mkdtemp(join(tmpdir(), 'l2cap-user-'))
    const bin = join(dir, 'bin')
    await mkdir(bin)
    for (const [name, text] of Object.entries(STAND_INS)) {
      await writeFile(join(bin, name), `#!/bin/bash\n${text}\n`)
      await chmod(join(bin, name), 0o755)
    }
    const kubeconfig = join(dir, 'kubeconfig')
    await writeFile(kubeconfig, await call(target, 'kubectl', 'config', 'view', '--raw', '--flatten'))
    const own = { ...target, kubeconfig }
    await call(own, 'kubectl', 'config', 'set-context', '--current', `--namespace=${namespace}`)
    const [repository, tag] = IMAGES.product.split(':')
    const defined = await target.api.exists(
      '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/l2captures.l2cap.dev',
    )
    const more = [
      // a definition that no release owns is there already
      ...(defined ? ['--take-ownership'] : []),
      // nothing can be given another name on somebody's nodes
      ...(target.nodes === undefined ? ['--set', `image.repository=${repository},image.tag=${tag}`] : []),
    ]
    const path = [bin, join(ROOT, 'node_modules/.bin'), dirname(programPath('kubectl')), process.env['PATH']]
    const env = {
      ...{ ...process.env, PATH: path.join(delimiter), KUBECONFIG: kubeconfig },
      ...{ CLUSTER_DIR: target.nodes?.dir ?? '', PROGRAMS: target.nodes?.programs ?? '' },
      ...{ TAG_IMAGE: TAG, PRODUCT: IMAGES.product, HELM: programPath('helm') },
      ...{ EXCHANGE: exchange, HELM_MORE: more.join(' ') },
    }
    // a group of its own: what a user left in the background ends with the shell
    const bash = spawn('bash', ['--noprofile', '--norc'], { cwd: ROOT, env, detached: true })
    return new User(dir, bash)
  }

  /** Runs a block of commands; resolves with what it printed. Throws with that where one of them fails. */
  async run(block: string): Promise<string> {
    const file = join(this.#dir, `block-${++this.#blocks}.sh`)
    await writeFile(file, block)
    const [from, end] = [this.#output.length, `end of block ${this.#blocks}`]
    const said = () => this.#output.slice(from)
    this.#bash.stdin?.write(`set -eo pipefail; . ${file} </dev/null; set +e; echo; echo '${end}'\n`)
    await waitFor(`the end of these commands:\n${block}`, () => said().includes(end) || this.#hasEnded, {
      deadlineMs: BLOCK_WITHIN_MS,
      show: said,
    })
    if (!said().includes(end)) throw new Error(`one of these commands failed:\n${block}\nIt said:\n${said()}`)
    return said().slice(0, said().indexOf(end))
  }

  get #hasEnded(): boolean {
    return this.#bash.exitCode !== null || this.#bash.signalCode !== null
  }

  /** Ends the shell and all that it left running. */
  async end(): Promise<void> {
    const { pid } = this.#bash
    if (pid !== undefined) {
      try {
        process.kill(-pid, 'SIGKILL')
      } catch {
        // nothing is left of the group
      }
      await this.#closed
    }
    await rm(this.#dir, { recursive: true, force: true })
  }
}
