/**
 * Writes what of the chart is generated: `node charts/generate.ts`. With `--check` nothing is written, and a file that
 * is not as it would be written fails the call by name. The definition of L2Capture comes from api/generate.ts.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { type Documented, documentedValues } from './documented.ts'
import { Values } from './values.ts'

const CHART = join(import.meta.dirname, 'l2cap')

/** Every generated file of the chart, by its name there, with its text. */
export function generatedFiles(): Readonly<Record<string, string>> {
  const schema = z.toJSONSchema(Values, { target: 'draft-7', io: 'input' })
  return {
    'values.schema.json': `${JSON.stringify(schema, undefined, 2)}\n`,
    'README.md': readme(documentedValues(readFileSync(join(CHART, 'values.yaml'), 'utf8'))),
  }
}

/** Names of generated files that are not there, or are not as they would be written. */
export function drifted(): string[] {
  return Object.entries(generatedFiles()).flatMap(([name, text]) => (textOf(name) === text ? [] : [name]))
}

function textOf(name: string): string | undefined {
  try {
    return readFileSync(join(CHART, name), 'utf8')
  } catch {
    // told as a file that is not as it should be
    return undefined
  }
}

function readme(values: readonly Documented[]): string {
  const rows = values.map(({ path, value, about }) => {
    const shown = value === undefined ? '' : `\`${JSON.stringify(value).replaceAll('|', '\\|')}\``
    return `| \`${path}\` | ${shown} | ${about.replaceAll('|', '\\|')} |`
  })
  return `<!-- Made from values.yaml by \`node charts/generate.ts\`; a change here is lost. -->

# l2cap

The operator of l2cap, with all that captures need around them: rights, network, alerts, a dashboard.

\`\`\`sh
helm install l2cap charts/l2cap --namespace market-data --create-namespace
helm test l2cap --namespace market-data --logs     # captures for 30 s into a throw-away directory, and proves it
kubectl apply --namespace market-data -f examples/one-symbol.yaml
\`\`\`

| what | how |
|---|---|
| rights | \`files/operator-rules.yaml\` where captures are, \`files/lease-rules.yaml\` in the release's namespace; no Secret is read. A Role with \`scope: namespace\`, a ClusterRole with \`scope: cluster\` |
| definition | installed and upgraded with the chart, kept by \`helm uninstall\`. One release in a cluster should own it; others say \`crds.install: false\`. One that was applied by hand is taken over with \`--take-ownership\` |
| captures | not the chart's: they go on while it is upgraded, and after it is uninstalled: their ServiceAccount stays, their NetworkPolicy goes (where a namespace refuses all egress that no policy allows, end captures first). A change of \`settings\` that shapes pods rolls them, make before break |
| security | every pod passes Pod Security "restricted"; capture pods have no API token |
| monitoring | PodMonitors and alerts where the cluster knows their API; each alert has a chapter in [OPERATIONS](../../docs/OPERATIONS.md) |
| typing errors | refused by name, before anything is rendered |

## Values

| value | default | means |
|---|---|---|
${rows.join('\n')}
`
}

function main(words: readonly string[]): number {
  if (words.length > 1 || (words[0] ?? '--check') !== '--check') {
    process.stderr.write('usage: node charts/generate.ts [--check]\n')
    return 2
  }
  if (words[0] === '--check') {
    const wrong = drifted()
    for (const name of wrong)
      process.stderr.write(`charts/l2cap/${name} is out of date: run \`node charts/generate.ts\`\n`)
    return wrong.length === 0 ? 0 : 1
  }
  for (const [name, text] of Object.entries(generatedFiles())) {
    writeFileSync(join(CHART, name), text)
    process.stdout.write(`charts/l2cap/${name}\n`)
  }
  return 0
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2))
