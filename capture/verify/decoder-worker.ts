import { parentPort } from 'node:worker_threads'
import { ParquetFile } from 'parquet-wasm'
import type { DecoderAnswer, DecoderRequest, FileSummary } from './decoder.ts'

/**
 * The worker's side: one file at a time, each request answered in order. Damaged bytes can trap the decoder, and the
 * trap surfaces outside of any promise: it ends this thread, and the other side takes that for the answer.
 */
if (parentPort === null) throw new Error('this file runs as a worker thread')
const port = parentPort
let file: ParquetFile | undefined

port.on('message', (request: DecoderRequest) => {
  answer(request).then(
    (result) => port.postMessage(result, 'ipc' in result ? [result.ipc.buffer as ArrayBuffer] : []),
    (error: unknown) => port.postMessage({ error: error instanceof Error ? error.message : String(error) }),
  )
})

async function answer(request: DecoderRequest): Promise<DecoderAnswer> {
  switch (request.do) {
    case 'open':
      file?.free()
      file = undefined
      file = await ParquetFile.fromFile(new Blob([request.bytes]))
      return { summary: summaryOf(file) }
    case 'read': {
      if (file === undefined) throw new Error('no file is open')
      const { rowGroup, batchRows } = request
      const table = await file.read({ rowGroups: [rowGroup], batchSize: batchRows })
      // a copy outside of the decoder's memory, which cannot be transferred
      return { ipc: new Uint8Array(table.intoIPCStream()) }
    }
  }
}

function summaryOf(opened: ParquetFile): FileSummary {
  const metadata = opened.metadata()
  const fileMetadata = metadata.fileMetadata()
  try {
    const entries = [...fileMetadata.keyValueMetadata()].map(
      ([key, value]) => [String(key), String(value)] as const,
    )
    const rowGroups = Array.from({ length: metadata.numRowGroups() }, (_, i) => {
      const group = metadata.rowGroup(i)
      const facts = { rows: group.numRows(), compressedBytes: group.compressedSize() }
      // the decoder's memory only grows: kilobytes a file, kept, are hundreds of megabytes a year of data
      group.free()
      return facts
    })
    return {
      rows: fileMetadata.numRows(),
      rowGroups,
      metadata: entries,
      createdBy: fileMetadata.createdBy() ?? '',
      schemaIpc: new Uint8Array(opened.schema().intoIPCStream()),
    }
  } finally {
    fileMetadata.free()
    metadata.free()
  }
}
