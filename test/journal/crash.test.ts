import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { cutTornTail, type JournalError, SegmentWriter, segmentName } from '../../capture/journal/mod.ts'
import { CHECKPOINT, header, message, mountedDir, owned, RUN, readAll, temporaryDir } from './helpers.ts'

const CHILD = join(import.meta.dirname, 'child.ts')

test('crash: kill -9 loses nothing that the file system had taken', { timeout: 240_000 }, async (t) => {
  for (const killAfterBytes of [1, 100_000, 2_000_000]) {
    const dir = join(temporaryDir(t), 'journal')
    mkdirSync(dir)
    const child = spawnChild(t, ['append', dir])
    let written = 0
    for await (const line of createInterface({ input: child.stdout })) {
      if (!line.startsWith('{"written"')) continue
      written = JSON.parse(line).written
      if (written >= killAfterBytes) break
    }
    child.kill('SIGKILL')
    await exited(child)
    const path = join(dir, segmentName(RUN, 0))
    assert.ok(statSync(path).size >= written)
    const cut = await cutTornTail(path)
    assert.ok(cut.done === 'cut' || cut.end.end === 'torn')
    const { end, inputs } = await readAll(path)
    assert.ok(end.end === 'torn' && end.tailBytes === 0)
    assert.ok(end.goodBytes >= written, `${end.goodBytes} of ${written} bytes were read back`)
    for (const [n, input] of inputs.entries())
      assert.deepEqual(input, owned(message(n, 200 + ((n + 1) % 700))))
    t.diagnostic(`killed at ${written} bytes: ${inputs.length} inputs read back`)
  }
})

test('crash: a disk that really fills up ends the segment after whole frames', {
  timeout: 240_000,
}, async (t) => {
  const dir = mountedDir(t, '1m')
  if (!dir) return
  const errors: JournalError[] = []
  const writer = SegmentWriter.open({
    dir,
    header: header(),
    checkpoint: CHECKPOINT,
    onError: (error) => errors.push(error),
  })
  const inputs = Array.from({ length: 3000 }, (_, n) => message(n, 777))
  for (const input of inputs) writer.append(input)
  await assert.rejects(writer.seal({ closedAt: 1, stateHash: '00', reason: 'rotation' }), {
    code: 'JournalFull',
  })
  const closed = await writer.closed
  assert.ok(closed.how === 'failed' && closed.cut)
  assert.equal(errors.length, 1)
  const size = statSync(writer.path).size
  assert.equal(size, errors[0]?.goodBytes)
  assert.ok(size > 900_000, `${size} bytes were kept`)
  const read = await readAll(writer.path)
  assert.deepEqual(read.end, { end: 'torn', goodBytes: size, tailBytes: 0 })
  assert.deepEqual(read.inputs, inputs.slice(0, read.inputs.length).map(owned))
})

function spawnChild(t: TestContext, args: readonly string[]) {
  const child = spawn(process.execPath, [CHILD, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  return child
}

async function exited(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  await new Promise((resolve) => child.once('exit', resolve))
}
