import assert from 'node:assert/strict'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { Annotations, askedBy, parseAnnotations } from '../../capture/process/annotations.ts'
import { withDirectory } from '../support/run.ts'

describe('annotations', () => {
  it('are read as the kubelet writes them', () => {
    const { values, faults } = parseAnnotations(
      'l2cap.dev/drain="true"\nl2cap.dev/share="16"\nnote="a \\"word\\"\\nand \\\\ \\u00e9\\x41"\n',
    )
    assert.deepEqual(faults, [])
    assert.deepEqual(
      [...values],
      [
        ['l2cap.dev/drain', 'true'],
        ['l2cap.dev/share', '16'],
        ['note', 'a "word"\nand \\ éA'],
      ],
    )
  })

  it('a line that is none is told, and the others count', () => {
    const { values, faults } = parseAnnotations('nonsense\nl2cap.dev/drain="discard"\nopen="x\n')
    assert.deepEqual(faults, ['nonsense', 'open="x'])
    assert.equal(askedBy(values).drain, 'discard')
  })

  it('values that cannot be used ask for nothing, and are told', () => {
    const asked = askedBy(
      new Map([
        ['l2cap.dev/share', '0'],
        ['l2cap.dev/drain', 'yes'],
      ]),
    )
    assert.deepEqual([asked.share, asked.drain, asked.faults.length], [undefined, undefined, 2])
  })

  it('a file that is missing asks for nothing and is told once; one that did not change is not read again', () =>
    withDirectory(async (dir) => {
      const told: string[] = []
      const path = join(dir, 'annotations')
      const annotations = new Annotations(path, { warn: (_fields, message) => told.push(message) })
      assert.equal(await annotations.look(), undefined)
      assert.equal(await annotations.look(), undefined)
      assert.equal(told.length, 1)
      await writeFile(path, 'l2cap.dev/share="8"\n')
      assert.equal((await annotations.look())?.share, 8)
      assert.equal(await annotations.look(), undefined)
      await rm(path)
      await writeFile(path, 'l2cap.dev/share="16"\nl2cap.dev/drain="true"\n')
      const asked = await annotations.look()
      assert.deepEqual([asked?.share, asked?.drain], [16, 'true'])
    }))
})
