import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import {
  KubeError,
  type KubeObject,
  Reflector,
  type ReflectorLimits,
  type System,
} from '../../../operator/kube/mod.ts'
import { waitFor } from '../../support/wait.ts'
import { Counts } from './counts.ts'
import { bookmark, lineOf, objectOf } from './objects.ts'
import { clientOf, failure, type Reply, ScriptedServer, type Seen } from './scripted.ts'
import { fastSystem } from './virtual.ts'

const PODS = '/api/v1/namespaces/x/pods'
const SPEED = 20
const SHORT_MS = 10
const LISTS = 'l2cap_operator_list_total'
const WATCHES = 'l2cap_operator_watch_total'

interface Rig {
  readonly server: ScriptedServer
  readonly reflector: Reflector<KubeObject>
  readonly counts: Counts
  readonly news: string[]
  readonly stop: AbortController
  readonly ended: Promise<void>
}

/** A reflector that follows a scripted server, and writes down what it is told. */
async function follow(
  context: TestContext,
  script: (seen: Seen) => Reply,
  more: {
    readonly limits?: Partial<ReflectorLimits>
    readonly onNews?: (news: string) => void
    readonly system?: System
  } = {},
): Promise<Rig> {
  const server = await ScriptedServer.start(context, script)
  const counts = new Counts()
  const system = more.system ?? fastSystem(SPEED)
  const news: string[] = []
  const tell = (kind: string, { metadata }: KubeObject) => {
    news.push(`${kind} ${metadata?.uid}@${metadata?.resourceVersion}`)
    more.onNews?.(news.at(-1) ?? '')
  }
  const reflector = new Reflector<KubeObject>({
    client: clientOf(context, server, system, counts),
    path: PODS,
    query: { labelSelector: 'a=b' },
    name: 'pods',
    system,
    meter: counts,
    handlers: {
      added: (object) => tell('added', object),
      updated: (_before, object) => tell('updated', object),
      deleted: (object) => tell('deleted', object),
    },
    ...(more.limits === undefined ? {} : { limits: more.limits }),
  })
  const stop = new AbortController()
  context.after(() => stop.abort())
  const ended = reflector.run(stop.signal)
  return { server, reflector, counts, news, stop, ended }
}

function listed(version: number, ...items: readonly KubeObject[]): Reply {
  return { status: 200, body: { metadata: { resourceVersion: String(version) }, items } }
}

/** Streams stay open unless told otherwise. */
function stream(...lines: readonly string[]): Reply {
  return { stream: lines, after: 'hold' }
}

/** Lists answer with the next of `lists`, watches with the next of `watches`; the last ones for ever. */
function inTurn(lists: readonly Reply[], watches: readonly Reply[]): (seen: Seen) => Reply {
  let list = 0
  let watch = 0
  return ({ query }) =>
    (query.has('watch')
      ? watches[Math.min(watch++, watches.length - 1)]
      : lists[Math.min(list++, lists.length - 1)]) ?? 'hang'
}

/** Of a list, and of the head of a watch: timers as well, but no waits. */
const LIST_DEADLINE_MS = 60_000
const HEAD_DEADLINE_MS = 30_000

/** A system whose waits are over at once, all but `kept`, and written down. */
function written(kept: readonly number[]): { readonly waits: number[]; readonly system: System } {
  const waits: number[] = []
  const fast = fastSystem(1)
  const after = (ms: number, fn: () => void) => {
    if (ms !== LIST_DEADLINE_MS && ms !== HEAD_DEADLINE_MS) waits.push(ms)
    return fast.timers.after(kept.includes(ms) ? ms : SHORT_MS, fn)
  }
  return { waits, system: { ...fast, random: () => 0.5, timers: { after } } }
}

const A1 = objectOf('a', 'u1', 10)
const A1_NEXT = objectOf('a', 'u1', 12)
const A2 = objectOf('a', 'u2', 14)

describe('reflector', () => {
  it('lists, watches from there with bookmarks, and tells what changes', async (context) => {
    const script = inTurn(
      [listed(10, A1)],
      [stream(lineOf('MODIFIED', A1_NEXT), lineOf('DELETED', objectOf('a', 'u1', 13)), lineOf('ADDED', A2))],
    )
    const { server, reflector, news } = await follow(context, script)
    await reflector.synced
    assert.equal(reflector.isSynced, true)
    await waitFor('all news', () => news.length === 4)
    assert.deepEqual(news, ['added u1@10', 'updated u1@12', 'deleted u1@13', 'added u2@14'])
    const [watch] = server.watches()
    assert.equal(watch?.query.get('resourceVersion'), '10')
    assert.equal(watch?.query.get('allowWatchBookmarks'), 'true')
    assert.equal(watch?.query.get('labelSelector'), 'a=b')
    const seconds = Number(watch?.query.get('timeoutSeconds'))
    assert.ok(seconds >= 300 && seconds <= 600, `${seconds} s`)
  })

  it('managedFields are kept of no object, listed or watched', async (context) => {
    const written = (name: string, version: number) => {
      const { metadata } = objectOf(name, `u${name}`, version)
      return { metadata: { ...metadata, managedFields: [{ manager: 'kubelet' }] } }
    }
    const { reflector } = await follow(context, ({ query }) =>
      query.has('watch') ? stream(lineOf('ADDED', written('b', 6))) : listed(5, written('a', 4)),
    )
    await waitFor('both', () => reflector.store.size === 2)
    assert.deepEqual(
      reflector.store.all().map(({ metadata }) => metadata),
      [objectOf('a', 'ua', 4).metadata, objectOf('b', 'ub', 6).metadata],
    )
  })

  it('a watch that the server ends goes on from the last event or bookmark, without a list', async (context) => {
    const { server, counts } = await follow(
      context,
      inTurn(
        [listed(10, A1)],
        [
          { stream: [lineOf('MODIFIED', A1_NEXT)], after: 'end' },
          { stream: [bookmark(40)], after: 'end' },
          stream(),
        ],
      ),
    )
    await waitFor('three watches', () => server.watches().length === 3)
    assert.deepEqual(
      server.watches().map((watch) => watch.query.get('resourceVersion')),
      ['10', '12', '40'],
    )
    assert.equal(server.lists().length, 1)
    assert.equal(counts.of(WATCHES, 'closed'), 2)
  })

  it('410 as HTTP status: lists anew, and finds a recreation that no watch told of', async (context) => {
    const { server, news, counts } = await follow(
      context,
      inTurn([listed(10, A1), listed(20, A2)], [failure(410, 'Expired'), stream()]),
    )
    await waitFor('the second watch', () => server.watches().length === 2)
    assert.deepEqual(news, ['added u1@10', 'deleted u1@10', 'added u2@14'])
    assert.equal(server.watches()[1]?.query.get('resourceVersion'), '20')
    assert.equal(counts.of(WATCHES, 'Gone'), 1)
    assert.equal(counts.of(LISTS, 'read'), 2)
  })

  it('410 as an event in the stream: lists anew', async (context) => {
    const gone = lineOf('ERROR', { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' })
    const { server, counts } = await follow(
      context,
      inTurn([listed(10), listed(20)], [stream(gone), stream()]),
    )
    await waitFor('the second watch', () => server.watches().length === 2)
    assert.equal(server.watches()[1]?.query.get('resourceVersion'), '20')
    assert.equal(counts.of(WATCHES, 'Gone'), 1)
  })

  it('410 between two pages: the next list asks for everything at once', async (context) => {
    const { server, reflector } = await follow(context, ({ query }) => {
      if (query.has('watch')) return stream()
      if (query.has('continue')) return failure(410, 'Expired')
      if (!query.has('limit')) return listed(30, A1)
      return { status: 200, body: { metadata: { resourceVersion: '20', continue: 'more' }, items: [] } }
    })
    await reflector.synced
    assert.equal(server.lists().length, 3)
    assert.equal(reflector.store.size, 1)
  })

  it('any other ERROR event opens a new watch, without a list', async (context) => {
    const broken = lineOf('ERROR', { kind: 'Status', code: 500, reason: 'InternalError', message: 'no' })
    const { server, counts } = await follow(context, inTurn([listed(10)], [stream(broken), stream()]))
    await waitFor('the second watch', () => server.watches().length === 2)
    assert.equal(server.lists().length, 1)
    assert.equal(counts.of(WATCHES, 'Unavailable'), 1)
  })

  it('a server that refuses everything, then recovers: it is never given up', async (context) => {
    let refusals = 0
    const answers: Reply[] = [
      failure(500, 'InternalError'),
      failure(403, 'Forbidden'),
      failure(503, 'ServiceUnavailable'),
      'break',
      { status: 200, body: 'no JSON' },
      { status: 200, body: { no: 'list' } },
    ]
    const { reflector, counts } = await follow(context, ({ query }) => {
      if (query.has('watch')) return stream()
      return answers[refusals++] ?? listed(10, A1)
    })
    await reflector.synced
    assert.equal(reflector.store.size, 1)
    assert.ok(counts.of(LISTS, 'Forbidden') === 1)
  })

  it('waits between failures grow from 800 ms to 30 s, and the server may ask for more', async (context) => {
    const { waits, system } = written([LIST_DEADLINE_MS, HEAD_DEADLINE_MS])
    let lists = 0
    const { server } = await follow(
      context,
      ({ query }) => {
        if (query.has('watch')) return 'hang'
        lists += 1
        return lists === 9 ? failure(403, 'Forbidden', { 'retry-after': '45' }) : failure(403, 'Forbidden')
      },
      { system },
    )
    await waitFor('ten lists', () => server.lists().length >= 10)
    assert.deepEqual(waits.slice(0, 9), [1200, 2400, 4800, 9600, 19_200, 22_500, 22_500, 22_500, 45_000])
  })

  it('watches that are refused slowly still wait longer and longer', async (context) => {
    const { waits, system } = written([LIST_DEADLINE_MS])
    const { server } = await follow(context, inTurn([listed(10)], ['hang']), { system })
    await waitFor('four watches', () => server.watches().length >= 4)
    assert.deepEqual(waits.slice(0, 3), [1200, 2400, 4800])
  })

  it('a truncated line: reconnects from the last whole event, and loses nothing', async (context) => {
    const whole = lineOf('MODIFIED', A1_NEXT)
    const { server, news, counts } = await follow(
      context,
      inTurn(
        [listed(10, A1)],
        [{ stream: [whole, lineOf('ADDED', A2).slice(0, 30)], after: 'end' }, stream(lineOf('ADDED', A2))],
      ),
    )
    await waitFor('the recreated object', () => news.includes('added u2@14'))
    assert.equal(server.watches()[1]?.query.get('resourceVersion'), '12')
    assert.equal(counts.of(WATCHES, 'BadAnswer'), 1)
  })

  it('a stream that breaks, no JSON, an unknown type, no version: reconnects', async (context) => {
    const bad: Reply[] = [
      { stream: [lineOf('MODIFIED', A1_NEXT)], after: 'break' },
      stream('{"type": nonsense}\n'),
      stream(lineOf('SURPRISE', A1)),
      stream(lineOf('ADDED', { metadata: { name: 'a' } })),
    ]
    const { server, reflector, counts } = await follow(context, inTurn([listed(10, A1)], [...bad, stream()]))
    await waitFor('five watches', () => server.watches().length === 5)
    assert.equal(reflector.store.size, 1)
    assert.equal(counts.of(WATCHES, 'Network'), 1)
    assert.equal(counts.of(WATCHES, 'BadAnswer'), 3)
  })

  it('a line that arrives in pieces, cut inside a character, is one event', async (context) => {
    const object = { metadata: { ...A2.metadata, annotations: { note: 'süß €' } } }
    const { server, reflector } = await follow(context, inTurn([listed(10)], [stream()]))
    const response = await waitFor('the watch', () => server.watches()[0]?.response)
    for (const byte of Buffer.from(lineOf('ADDED', object))) response.write(Buffer.from([byte]))
    await waitFor('the object', () => reflector.store.size === 1)
    assert.deepEqual(reflector.store.get('x', 'a'), object)
  })

  it('duplicated events are told once', async (context) => {
    const line = lineOf('MODIFIED', A1_NEXT)
    const { news, counts } = await follow(
      context,
      inTurn([listed(10, A1)], [stream(line, line, line, lineOf('ADDED', objectOf('b', 'v', 15)))]),
    )
    await waitFor('the last one', () => news.includes('added v@15'))
    assert.deepEqual(news, ['added u1@10', 'updated u1@12', 'added v@15'])
    assert.equal(counts.of('l2cap_operator_watch_events_total', 'ignored'), 2)
  })

  it('reordered events: the older one changes nothing, and a list makes sure', async (context) => {
    const older = objectOf('a', 'u1', 11)
    const hidden = objectOf('b', 'hidden', 11)
    const { server, news } = await follow(
      context,
      inTurn(
        [listed(10, A1), listed(13, A1_NEXT, hidden)],
        [stream(lineOf('MODIFIED', A1_NEXT), lineOf('MODIFIED', older)), stream()],
      ),
    )
    await waitFor('the second watch', () => server.watches().length === 2)
    assert.deepEqual(news, ['added u1@10', 'updated u1@12', 'added hidden@11'])
  })

  it('half-open: a watch that is silent for too long is opened anew', async (context) => {
    const { server, counts } = await follow(context, inTurn([listed(10)], [stream()]), {
      limits: { idleMs: 2_000 },
    })
    await waitFor('three watches', () => server.watches().length >= 3)
    assert.ok(counts.of(WATCHES, 'idle') >= 2)
    assert.equal(server.lists().length, 1)
  })

  it('staleness grows while the server is silent, and each proof of contact ends it', async (context) => {
    const { server, reflector } = await follow(context, inTurn([listed(10)], [stream()]))
    const response = await waitFor('the watch', () => server.watches()[0]?.response)
    await waitFor('five seconds of silence', () => reflector.stalenessSeconds() > 5)
    let version = 10
    await waitFor('contact', () => {
      response.write(bookmark(++version))
      return reflector.stalenessSeconds() < 4
    })
  })

  it('a watch that is accepted and ended at once, again and again, is no busy loop', async (context) => {
    const startedMs = performance.now()
    const { server } = await follow(context, inTurn([listed(10)], [{ stream: [], after: 'end' }]))
    await waitFor('four watches', () => server.watches().length >= 4)
    assert.ok((performance.now() - startedMs) * SPEED > 800 + 1_600 + 3_200)
  })

  it('a handler that throws is counted, and the news goes on', async (context) => {
    const { news, counts } = await follow(
      context,
      inTurn(
        [listed(10, A1)],
        [stream(lineOf('MODIFIED', A1_NEXT), lineOf('ADDED', objectOf('b', 'v', 15)))],
      ),
      {
        onNews: (one) => {
          if (one !== 'added v@15') throw new Error('a bug')
        },
      },
    )
    await waitFor('the last one', () => news.includes('added v@15'))
    assert.equal(counts.of('l2cap_operator_handler_errors_total', 'pods'), 2)
  })

  it('a change that every watch hides is found by the list that comes now and then', async (context) => {
    const quiet: Reply = { stream: [bookmark(50)], after: 'end' }
    const { news, counts } = await follow(context, inTurn([listed(10, A1), listed(60, A2)], [quiet]), {
      limits: { relistMs: 2_000 },
    })
    await waitFor('the recreation', () => news.includes('added u2@14'))
    assert.ok(counts.of('l2cap_operator_missed_by_watch_total', 'pods') >= 2)
  })

  it('ten thousand events at once are told in order', async (context) => {
    const lines = Array.from({ length: 10_000 }, (_, at) => lineOf('MODIFIED', objectOf('a', 'u1', 11 + at)))
    const { news } = await follow(context, inTurn([listed(10, A1)], [stream(lines.join(''))]))
    await waitFor('the last one', () => news.at(-1) === 'updated u1@10010')
    assert.equal(news.length, 10_001)
  })

  it('abort: ends at once, leaves no connection to the server, and synced rejects', async (context) => {
    const { reflector, stop, ended } = await follow(context, () => 'hang')
    const failed = assert.rejects(reflector.synced, KubeError)
    stop.abort()
    await ended
    await failed
    const open = await follow(context, inTurn([listed(10)], [stream()]))
    const response = await waitFor('the watch', () => open.server.watches()[0]?.response)
    open.stop.abort()
    await open.ended
    await waitFor('the end of the watch', () => response.destroyed)
  })
})
