import { readFile } from 'node:fs/promises'
import { replaceFile } from '../../capture/process/durable-file.ts'
import { Lineage } from '../../capture/process/lineage.ts'
import type { Spool } from '../../capture/ship/mod.ts'

/** The lineage of a spool as a process without a predecessor opens it; `onStep` hears of each note. */
export function lineageIn(spool: Spool, onStep?: (step: string) => void): Promise<Lineage> {
  const { lineage: path } = spool.paths
  return Lineage.open({
    // none yet
    read: () => readFile(path, 'utf8').catch(() => undefined),
    write: async (text) => {
      await replaceFile(path, text)
      onStep?.('lineage_noted')
    },
    runs: async () => new Set((await spool.listWindows()).map(({ run }) => run)),
    predecessor: undefined,
    settle: () => Promise.reject(new Error('nobody is succeeded')),
    log: { error: (_fields, message) => process.stderr.write(`${message}\n`) },
  })
}
