/**
 * Writes what is generated from the schemas: `node api/generate.ts`. With `--check` nothing is written, and a file
 * that is not as it would be written fails the call by name.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { stringify } from 'yaml'
import { captureDefinition } from './crd.ts'
import { API_GROUP, CAPTURES } from './labels.ts'
import { EXIT_INTERNAL_ERROR, EXIT_WRONG_CALL } from './reasons.ts'
import { referencePage } from './reference.ts'

const root = resolve(import.meta.dirname, '..')
/** Long lines stay whole: a rule that is broken over lines can be neither read nor searched. */
const LINE_WIDTH = 0

/** Every generated file, by its path from the top of the project, with its text. */
export function generatedFiles(): Readonly<Record<string, string>> {
  const head = '# Made from api/ by `node api/generate.ts`; a change here is lost.\n'
  const definition =
    head + stringify(captureDefinition(), { lineWidth: LINE_WIDTH, aliasDuplicateObjects: false })
  return {
    [`crds/${API_GROUP}_${CAPTURES}.yaml`]: definition,
    // a chart can read no file outside of its own directory
    [`charts/l2cap/files/${CAPTURES}.yaml`]: definition,
    'docs/RESOURCE.md': referencePage(),
  }
}

/** Paths of generated files that are not there, or are not as they would be written. */
export function drifted(): string[] {
  return Object.entries(generatedFiles()).flatMap(([path, text]) => (textOf(path) === text ? [] : [path]))
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(join(root, path), 'utf8')
  } catch {
    // told as a file that is not as it should be
    return undefined
  }
}

function main(words: readonly string[]): number {
  if (words.length > 1 || (words[0] ?? '--check') !== '--check') {
    process.stderr.write('usage: node api/generate.ts [--check]\n')
    return EXIT_WRONG_CALL
  }
  if (words[0] === '--check') {
    const wrong = drifted()
    for (const path of wrong) process.stderr.write(`${path} is out of date: run \`node api/generate.ts\`\n`)
    return wrong.length === 0 ? 0 : EXIT_INTERNAL_ERROR
  }
  for (const [path, text] of Object.entries(generatedFiles())) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
    process.stdout.write(`${path}\n`)
  }
  return 0
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2))
