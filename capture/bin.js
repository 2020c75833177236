#!/usr/bin/env node
/**
 * Starts the command line with a Node that can run it. Plain JavaScript for any Node from 18 on: it may be started
 * by the system's Node, while the program itself needs Node 24, which this package brings along.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'

const NODE_MAJOR_MIN = 24
const EXIT_INTERNAL_ERROR = 1
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP']
const CLI = new URL('./cli.ts', import.meta.url)
const OWN_NODE = fileURLToPath(new URL('../node_modules/node/bin/node', import.meta.url))

if (!existsSync(new URL('../node_modules/zod', import.meta.url))) {
  fail('the packages are not installed')
} else if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR_MIN) {
  await import(CLI.href)
} else if (existsSync(OWN_NODE)) {
  runWith(OWN_NODE)
} else {
  fail(`Node ${NODE_MAJOR_MIN} or newer is needed and this is Node ${process.versions.node}`)
}

/**
 * Runs the command line in a child and ends as it ends. The channel tells the child when this process is killed: it
 * then ends in order. A signal that a terminal sends to both arrives twice there, which counts as once.
 */
function runWith(node) {
  const child = spawn(node, [fileURLToPath(CLI), ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  })
  for (const signal of SIGNALS) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => fail(`${node} cannot be started: ${error.message}`))
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)))
}

function fail(why) {
  process.stderr.write(
    `l2cap: ${why}. Run \`npm ci\` in the project's directory: it brings the right Node.\n`,
  )
  process.exit(EXIT_INTERNAL_ERROR)
}
