/** `l2cap run` as the demo starts it: from a file, as a user would who wants other limits than the usual. */
import { writeFileSync } from 'node:fs'
import type { RunEvent } from '../../capture/cli/events.ts'
import { Child } from './child.ts'

const ROTATION_SECONDS = 10
/** So that a frozen book and a silent lie are found within the minute. */
const GUARDS = '{staleAfterSeconds: 2, auditSeconds: 30}'

export interface CaptureOptions {
  readonly symbols: readonly string[]
  readonly endpoints: string
  /** Written anew. */
  readonly file: string
  readonly data: string
  readonly spool: string
  /** Guards as strict as a minute needs; the usual ones otherwise. */
  readonly isStrict: boolean
}

/** The L2Capture, as YAML. */
export function writeCaptureFile({ symbols, file, data, isStrict }: CaptureOptions): void {
  const lines = [
    'apiVersion: l2cap.dev/v1alpha1',
    'kind: L2Capture',
    'metadata: {name: demo}',
    'spec:',
    '  exchange: BinanceUsdm',
    `  symbols: ${JSON.stringify(symbols)}`,
    `  rotationSeconds: ${ROTATION_SECONDS}`,
    ...(isStrict ? [`  guards: ${GUARDS}`] : []),
    `  storage: {local: {path: ${JSON.stringify(data)}}}`,
  ]
  writeFileSync(file, `${lines.join('\n')}\n`)
}

/** Starts it; ends with `stop` or when its process does. */
export function startCapture(options: CaptureOptions, onEvent: (event: RunEvent) => void): Child {
  const { endpoints, file, spool } = options
  writeCaptureFile(options)
  return new Child('capture/cli.ts', ['run', file, '--endpoints', endpoints, '--spool', spool], (line) =>
    onEvent(JSON.parse(line) as RunEvent),
  )
}
