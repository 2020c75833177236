import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { open, rm } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { LiveLine } from '../../capture/cli/live-line.ts'
import { keyOfManifest } from '../../capture/ship/mod.ts'
import { progressText } from '../../capture/verify/mod.ts'
import { call, L2cap } from '../cli/l2cap.ts'
import { remove } from './damage.ts'
import { keyIn, useScenario, windowOf } from './scenario.ts'

const s = useScenario()
const progress = {
  checked: { manifests: 12, objects: 60, bytes: 1_572_864, rows: 9000 },
  symbol: 'BTCUSDT',
  windows: 288,
  windowsDone: 12,
  problems: 0,
}

describe('l2cap verify', () => {
  test('right data: a table and one sentence, exit code 0, and nothing on standard error of a pipe', async (t) => {
    const { code, stdout, stderr } = await call(t, ['verify', s.origin.root])
    assert.deepEqual([code, stderr], [0, ''])
    assert.match(stdout, /^exchange +symbol[\s\S]+All that is there is right: \d+ manifests/)
  })

  test('problems: exit code 1; --json prints the report alone', async (t) => {
    const place = await s.copy()
    const key = keyOfManifest(windowOf(s.runA, 1))
    await remove(place, key)
    const { code, stdout, stderr } = await call(t, ['verify', place.root, '--json'])
    assert.deepEqual([code, stderr], [1, ''])
    const { ok, problems } = JSON.parse(stdout) as { ok: boolean; problems: { kind: string; key: string }[] }
    assert.deepEqual([ok, problems.map((one) => [one.kind, one.key])], [false, [['manifest_missing', key]]])
  })

  test('Ctrl-C: ends with exit code 130 and a sentence, without a report', async (t) => {
    const place = await s.copy()
    const object = place.path(keyIn(s.runA, 0, 'trades'))
    await rm(object)
    execFileSync('mkfifo', [object])
    const l2cap = new L2cap(t, ['verify', place.root])
    // a pipe opens for writing once it is open for reading: the verification is at this object, and waits
    const pipe = await open(object, 'w')
    l2cap.child.kill('SIGINT')
    await pipe.close()
    assert.equal(await l2cap.ended, 130)
    assert.equal(l2cap.stdout, '')
    assert.match(l2cap.stderr, /^l2cap: interrupted (before the first|after BTCUSDT) .*no report\n$/)
  })
})

describe('progress', () => {
  test('one line says what was read and what was found', () => {
    const text = 'BTCUSDT 12 of 288: 12 manifests, 60 objects, 1.5 MiB, 9,000 rows'
    assert.equal(progressText(progress), `${text}, no problem so far`)
    assert.equal(progressText({ ...progress, problems: 2 }), `${text}, 2 problems so far`)
  })

  test('a terminal has one line that is written over, never wider than it is, not too often', () => {
    const written: string[] = []
    let nowMs = 0
    const output = { isTTY: true, columns: 20, write: (text: string) => written.push(text) }
    const line = new LiveLine(output, () => nowMs)
    line.show(() => 'x'.repeat(50))
    nowMs += 10
    line.show(() => 'too soon')
    nowMs += 1000
    line.show(() => 'later')
    line.clear()
    assert.deepEqual(written, [`\r\x1b[K${'x'.repeat(19)}`, '\r\x1b[Klater', '\r\x1b[K'])
  })

  test('a pipe gets nothing', () => {
    const line = new LiveLine({ write: () => assert.fail('written') })
    line.show(() => assert.fail('asked for'))
    line.clear()
  })
})
