/** Numbers as the code has them: most are private to their file, so they are read from its text. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './pages.ts'

/** The value of `const NAME = …` in a file. Throws where it is not there or is no plain arithmetic. */
export function constantOf(file: string, name: string): number {
  const text = readFileSync(join(ROOT, file), 'utf8')
  const found = new RegExp(`^(?:export )?const ${name} = (.+)$`, 'm').exec(text)
  if (found === null) throw new Error(`${file} has no constant ${name}: was it renamed?`)
  const expression = found[1] ?? ''
  // sums and products of plain numbers are all that a constant may be here
  return expression
    .split(' - ')
    .map((part) => part.split(' * ').map(plainNumber).reduce(multiply, 1))
    .reduce((left, right) => left - right)
}

function multiply(left: number, right: number): number {
  return left * right
}

function plainNumber(text: string): number {
  if (!/^\d[\d_]*(\.\d+)?$/.test(text)) throw new Error(`"${text}" is no plain number`)
  return Number(text.replaceAll('_', ''))
}
