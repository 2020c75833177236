/**
 * The names of Services for the pods of a cluster of the tests: `node names.ts DIR` answers on the address at which
 * kubelets tell pods to ask. There is no kube-proxy, so a Service's own address leads nowhere: a name stands for
 * the ready pods behind it, as with a headless Service. That is right where port and target port are the same.
 */
import { createSocket } from 'node:dgram'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ApiClient } from '../../cluster/mod.ts'

const API_SERVER = 'https://10.200.0.254:443'
const ADDRESS = '10.96.0.10'
const PORT = 53
const SUFFIX = '.svc.cluster.local'
const TYPE_A = 1
const TYPE_AAAA = 28
const CLASS_IN = 1
/** Pods come and go within seconds. */
const TTL_S = 1
/** More would not fit into one datagram of 512 bytes. */
const ANSWERS_MAX = 16
const HEADER_BYTES = 12
const FLAGS = { answer: 0x8180, serverFailure: 0x8182, noSuchName: 0x8183 } as const

interface Question {
  readonly id: number
  readonly name: string
  readonly type: number
  /** As it was asked: it is repeated in the answer. */
  readonly bytes: Buffer
}

interface Slice {
  readonly endpoints?: readonly {
    readonly addresses: readonly string[]
    readonly conditions?: { readonly ready?: boolean }
  }[]
}

/** The first question of a request; pods ask one at a time. Throws where it is none. */
function questionIn(request: Buffer): Question {
  const labels: string[] = []
  let at = HEADER_BYTES
  for (let length = request.readUInt8(at); length > 0; length = request.readUInt8(at)) {
    labels.push(request.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  const type = request.readUInt16BE(at + 1)
  const bytes = request.subarray(HEADER_BYTES, at + 5)
  return { id: request.readUInt16BE(0), name: labels.join('.').toLowerCase(), type, bytes }
}

/** Addresses of the ready pods of a Service; undefined where there is no such Service. */
async function addressesOf(api: ApiClient, name: string): Promise<string[] | undefined> {
  if (!name.endsWith(SUFFIX)) return undefined
  const [service, namespace, ...more] = name.slice(0, -SUFFIX.length).split('.')
  if (service === undefined || namespace === undefined || more.length > 0) return undefined
  if (!(await api.exists(`/api/v1/namespaces/${namespace}/services/${service}`))) return undefined
  const query = `labelSelector=kubernetes.io%2Fservice-name%3D${service}`
  const path = `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices?${query}`
  const endpoints = (await api.list<Slice>(path)).flatMap((slice) => slice.endpoints ?? [])
  return endpoints
    .filter(({ conditions }) => conditions?.ready !== false)
    .flatMap(({ addresses }) => addresses)
    .slice(0, ANSWERS_MAX)
}

function record(address: string): Buffer {
  const bytes = Buffer.alloc(16)
  // the name is that of the question, at its place
  bytes.writeUInt16BE(0xc000 | HEADER_BYTES, 0)
  bytes.writeUInt16BE(TYPE_A, 2)
  bytes.writeUInt16BE(CLASS_IN, 4)
  bytes.writeUInt32BE(TTL_S, 6)
  bytes.writeUInt16BE(4, 10)
  Buffer.from(address.split('.').map(Number)).copy(bytes, 12)
  return bytes
}

function reply({ id, bytes }: Question, flags: number, addresses: readonly string[] = []): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  for (const [i, word] of [id, flags, 1, addresses.length].entries()) header.writeUInt16BE(word, i * 2)
  return Buffer.concat([header, bytes, ...addresses.map(record)])
}

async function answer(api: ApiClient, question: Question): Promise<Buffer> {
  if (question.type !== TYPE_A && question.type !== TYPE_AAAA) return reply(question, FLAGS.answer)
  try {
    const addresses = await addressesOf(api, question.name)
    if (addresses === undefined) return reply(question, FLAGS.noSuchName)
    // a name that has addresses of the other kind alone exists all the same
    return reply(question, FLAGS.answer, question.type === TYPE_A ? addresses : [])
  } catch (error) {
    // the API server may be away, which is a test: whoever asks is told so, and asks again
    process.stderr.write(`${question.name}: ${error}\n`)
    return reply(question, FLAGS.serverFailure)
  }
}

const file = (name: string) => readFileSync(join(process.argv[2] ?? '', 'pki', name), 'utf8')
const api = new ApiClient({
  ...{ server: API_SERVER, ca: file('ca.crt') },
  ...{ cert: file('admin.crt'), key: file('admin.key') },
})
const socket = createSocket('udp4')
socket.on('message', (request, from) => {
  try {
    const question = questionIn(request)
    answer(api, question).then((bytes) => socket.send(bytes, from.port, from.address))
  } catch (error) {
    process.stderr.write(`no question from ${from.address}: ${error}\n`)
  }
})
socket.bind(PORT, ADDRESS)
