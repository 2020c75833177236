/** Executes the examples as a reader would: notebooks with nbconvert, SQL files with DuckDB. */
import { execFile } from 'node:child_process'
import { copyFile, mkdir, readdir } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { DATA_MD } from '../pipeline/made/data-doc.ts'
import { interpreter } from '../support/python.ts'

const run = promisify(execFile)
const EXAMPLES = resolve(import.meta.dirname, '../../examples')
const ENDS_WITHIN_MS = 900_000
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024

/** By default what a kernel shows four seconds late is left out without a word, and one that starts late is given up. */
const KERNEL_WAITS = [
  '--ExecutePreprocessor.startup_timeout=600',
  '--ExecutePreprocessor.iopub_timeout=600',
  '--ExecutePreprocessor.raise_on_iopub_timeout=True',
]

export interface Picture {
  readonly width: number
  readonly height: number
  /** Share of pixels by the name of the colour in matplotlib. */
  readonly colours: Readonly<Record<string, number>>
}

export interface Executed<Figures> {
  readonly figures: Figures
  readonly pictures: readonly Picture[]
  readonly warnings: readonly string[]
}

export interface SqlResult {
  readonly columns: readonly string[]
  readonly rows: readonly (readonly (string | null)[])[]
}

/** Settings of the reader, besides those of the machine; of the machine's own S3 settings nothing is left. */
export type Settings = Readonly<Record<string, string>>

export async function notebooks(): Promise<string[]> {
  return await filesOf('notebooks', '.ipynb')
}

export async function sqlFiles(): Promise<string[]> {
  return await filesOf('sql', '.sql')
}

/**
 * Executes notebooks one after the other in `dir`, which is made, and gives what they show by name. Throws with the
 * failing cell.
 */
export async function executeNotebooks(
  dir: string,
  paths: readonly string[],
  settings: Settings,
): Promise<Record<string, Executed<never>>> {
  await mkdir(dir, { recursive: true })
  const names = paths.map((path) => basename(path))
  for (const [i, path] of paths.entries()) await copyFile(path, join(dir, names[i] ?? ''))
  // pipes instead of ports: their paths are relative, so notebook and kernel start in one directory
  const execute = ['--to', 'notebook', '--execute', '--inplace', '--KernelManager.transport=ipc']
  await python(['-m', 'nbconvert', ...execute, ...KERNEL_WAITS, ...names], dir, settings)
  const shown = await python([join(import.meta.dirname, 'output_check.py'), ...names], dir, settings)
  return JSON.parse(shown)
}

/** Runs SQL files against the bucket at `address`: results of their statements by name. Throws where one fails. */
export async function executeSql(
  dir: string,
  address: string,
  settings: Settings,
): Promise<Record<string, SqlResult[]>> {
  const script = join(import.meta.dirname, 'sql_check.py')
  return JSON.parse(await python([script, address, ...(await sqlFiles())], dir, settings))
}

/** Runs the blocks of DATA.md that read object storage, and gives what each printed. Throws where one fails. */
export async function executeS3Snippets(dir: string, settings: Settings): Promise<string[]> {
  const script = resolve(import.meta.dirname, '../readers/snippets_check.py')
  const done = JSON.parse(await python([script, DATA_MD, dir, 's3'], dir, settings)) as { output: string }[]
  return done.map(({ output }) => output.trim())
}

async function filesOf(folder: string, suffix: string): Promise<string[]> {
  const names = (await readdir(join(EXAMPLES, folder))).filter((name) => name.endsWith(suffix)).sort()
  return names.map((name) => join(EXAMPLES, folder, name))
}

async function python(args: readonly string[], dir: string, settings: Settings): Promise<string> {
  const program = interpreter('examples')
  const inherited = Object.entries(process.env).filter(([name]) => !/^(AWS_|L2CAP_|JUPYTER)/.test(name))
  const env = {
    ...Object.fromEntries(inherited),
    // nothing is read from or written to the user's own Jupyter
    JUPYTER_CONFIG_DIR: join(dir, '.jupyter'),
    JUPYTER_DATA_DIR: join(dir, '.jupyter'),
    JUPYTER_RUNTIME_DIR: join(dir, '.jupyter'),
    IPYTHONDIR: join(dir, '.ipython'),
    // the list of fonts takes seconds to make: it is kept with the environment
    MPLCONFIGDIR: join(dirname(dirname(program)), 'matplotlib'),
    AWS_EC2_METADATA_DISABLED: 'true',
    NO_PROXY: '127.0.0.1',
    no_proxy: '127.0.0.1',
    ...settings,
  }
  try {
    const options = { cwd: dir, env, maxBuffer: OUTPUT_BYTES_MAX, timeout: ENDS_WITHIN_MS }
    return (await run(program, [...args], { ...options, killSignal: 'SIGKILL' })).stdout
  } catch (error) {
    const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr) : ''
    throw new Error(`python ${args.join(' ')} failed:\n${stderr.slice(-4000) || String(error)}`)
  }
}
