import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseProcessStatus } from '../../api/process-status.ts'
import type { L2CaptureResource } from '../../api/resource.ts'
import type { CaptureReport, PodReport } from '../../capture/cli/cluster.ts'
import { captureLine, statusText, symbolLines } from '../../capture/cli/status-table.ts'

const NOW = Date.parse('2026-11-22T12:00:00Z')

describe('the table of l2cap status', () => {
  it('a live symbol: lag of its book alone, backlog, age of the last commit; what stands long in larger units', () => {
    const live = podReport('BTCUSDT', {
      status: told({
        streams: {
          books20: { lastReceived: '2026-11-22T11:59:58.500000Z' },
          trades: { lastReceived: '2026-11-22T11:59:59.900000Z' },
        },
        since: '2026-11-22T09:00:00.000000Z',
        spool: { unshippedBytes: 3_000_000 },
        ship: { lastCommit: '2026-11-22T11:55:00.000000Z' },
      }),
    })
    assert.deepEqual(tableOf({ capture: capture(), pods: [live] }), [
      'data/majors  BinanceUsdm  Ready=True (AllSymbolsLive)  1 of 1 live',
      'SYMBOL STATE REASON SINCE LAG BACKLOG LAST_COMMIT RESTARTS POD',
      'BTCUSDT Live - 3_h 1.5_s 2.9_MiB 5_min 0 majors-btcusdt-1',
    ])
  })

  it('a live book has no reason, whatever its last gap was, also where its pod leaves; one that is not live has', () => {
    const lineOf = (state: string, change: { ready?: boolean; deleting?: boolean }) => {
      const pod = podReport('BTCUSDT', { status: told({ state, reason: 'disconnect' }), ...change })
      const [line] = symbolLines({ capture: capture(), pods: [pod] }, NOW)
      return `${line?.state} ${line?.reason}`
    }
    assert.equal(lineOf('live', {}), 'Live ')
    assert.equal(lineOf('live', { deleting: true }), 'Leaving ')
    assert.equal(lineOf('syncing', { ready: false }), 'Starting disconnect')
    assert.equal(lineOf('syncing', { deleting: true, ready: false }), 'Leaving disconnect')
  })

  it('a symbol without a book: the latest of its streams', () => {
    const trades = told({
      streams: {
        trades: { lastReceived: '2026-11-22T11:59:57.000000Z' },
        mark_price: { lastReceived: '2026-11-22T11:59:59.000000Z' },
      },
    })
    const [line] = symbolLines({ capture: capture(), pods: [podReport('BTCUSDT', { status: trades })] }, NOW)
    assert.equal(line?.lagSeconds, 1)
  })

  it('a halted symbol: what the operator says of it, and the message of Ready below the title', () => {
    const halted = capture({
      status: {
        observedGeneration: 1,
        symbols: { desired: 1, live: 0, halted: 1 },
        attention: [
          {
            symbol: 'BTCUSDT',
            state: 'Halted',
            reason: 'CrossedBook',
            message: 'a bid at the ask',
            since: '2026-11-22T11:59:30Z',
            restarts: 2,
            pod: 'majors-btcusdt-1',
          },
        ],
        attentionOmitted: 0,
        conditions: [ready('False', 'SymbolsNotLive', '1 of 1 symbol not live: BTCUSDT')],
      },
    })
    const pod = podReport('BTCUSDT', { status: 'not running', ready: false, restarts: 2 })
    assert.deepEqual(tableOf({ capture: halted, pods: [pod] }), [
      'data/majors  BinanceUsdm  Ready=False (SymbolsNotLive)  0 of 1 live, 1 halted',
      '1_of_1_symbol_not_live:_BTCUSDT',
      'SYMBOL STATE REASON SINCE LAG BACKLOG LAST_COMMIT RESTARTS POD',
      'BTCUSDT Halted CrossedBook 30_s - - - 2 majors-btcusdt-1',
    ])
  })

  it('two pods of a symbol that is handed over: one line each; a pod of a symbol that is not wanted leaves', () => {
    const pods = [
      podReport('BTCUSDT', { name: 'majors-btcusdt-1', deleting: true }),
      podReport('BTCUSDT', { name: 'majors-btcusdt-2' }),
      podReport('ETHUSDT', { name: 'majors-ethusdt-1' }),
    ]
    const lines = symbolLines({ capture: capture(), pods }, NOW)
    assert.deepEqual(
      lines.map(({ symbol, state, pod }) => `${symbol} ${state} ${pod}`),
      [
        'BTCUSDT Leaving majors-btcusdt-1',
        'BTCUSDT Live majors-btcusdt-2',
        'ETHUSDT Leaving majors-ethusdt-1',
      ],
    )
  })

  it('a symbol without a pod is Pending; a pod that cannot be asked says why, and its numbers stay unknown', () => {
    const two = capture({ symbols: ['BTCUSDT', 'ETHUSDT'] })
    const mute = podReport('BTCUSDT', { status: 'cannot be asked: no answer within 5 s' })
    const lines = symbolLines({ capture: two, pods: [mute] }, NOW)
    assert.deepEqual(
      lines.map(({ state, reason, lagSeconds, backlogBytes }) => [state, reason, lagSeconds, backlogBytes]),
      [
        ['Live', 'cannot be asked: no answer within 5 s', null, null],
        ['Pending', '', null, null],
      ],
    )
  })

  it('a capture that no operator has looked at says so', () => {
    const { metadata, spec } = capture()
    const line = captureLine({ apiVersion: 'l2cap.dev/v1alpha1', kind: 'L2Capture', metadata, spec })
    assert.deepEqual([line.ready, line.reason], ['Unknown', 'NoOperator'])
    assert.deepEqual(line.symbols, { desired: 1, live: 0, halted: 0 })
  })
})

/** The lines without their padding: columns part by one blank, blanks within a cell are `_`. */
function tableOf(report: CaptureReport): string[] {
  const [title = '', ...rows] = statusText([report], NOW)
  return [
    title,
    ...rows.map((row) =>
      row
        .trim()
        .split(/ {2,}/)
        .map((cell) => cell.replaceAll(' ', '_'))
        .join(' '),
    ),
  ]
}

function told(status: object): PodReport['status'] {
  return parseProcessStatus(JSON.stringify(status))
}

function ready(status: 'True' | 'False', reason: string, message: string) {
  return { type: 'Ready', status, reason, message, lastTransitionTime: '2026-11-22T09:00:00Z' }
}

function capture(change: { status?: object; symbols?: string[] } = {}): L2CaptureResource {
  const status = {
    symbols: { desired: 1, live: 1, halted: 0 },
    attention: [],
    attentionOmitted: 0,
    conditions: [ready('True', 'AllSymbolsLive', '1 symbol live')],
    ...change.status,
  }
  return {
    apiVersion: 'l2cap.dev/v1alpha1',
    kind: 'L2Capture',
    metadata: { namespace: 'data', name: 'majors' },
    spec: { exchange: 'BinanceUsdm', symbols: change.symbols ?? ['BTCUSDT'] },
    status,
  } as unknown as L2CaptureResource
}

interface PodChange {
  readonly name?: string
  readonly status?: PodReport['status']
  readonly ready?: boolean
  readonly deleting?: boolean
  readonly restarts?: number
}

function podReport(symbol: string, change: PodChange): PodReport {
  const { name = `majors-${symbol.toLowerCase()}-1`, status = told({}), ready = true, restarts = 0 } = change
  const deletionTimestamp = change.deleting === true ? new Date(NOW) : undefined
  return {
    symbol,
    status,
    pod: {
      metadata: { name, ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }) },
      status: {
        conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
        containerStatuses: [{ name: 'capture', image: '', imageID: '', ready, restartCount: restarts }],
      },
    },
  }
}
