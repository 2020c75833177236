import { API_GROUP, API_VERSION_NAME, CAPTURES, KIND } from './labels.ts'
import { CaptureStatus } from './resource.ts'
import { CaptureName, ClusterCaptureSpec } from './spec.ts'
import { type Structural, structural } from './structural.ts'

/** The CustomResourceDefinition of L2Captures, made from the schemas. */

export interface CustomResourceDefinition {
  readonly apiVersion: 'apiextensions.k8s.io/v1'
  readonly kind: 'CustomResourceDefinition'
  readonly metadata: { readonly name: string }
  readonly spec: {
    readonly group: string
    readonly scope: 'Namespaced'
    readonly names: {
      readonly kind: string
      readonly listKind: string
      readonly plural: string
      readonly singular: string
      readonly shortNames: readonly string[]
    }
    readonly versions: readonly Version[]
  }
}

interface Version {
  readonly name: string
  readonly served: true
  readonly storage: true
  readonly subresources: { readonly status: Readonly<Record<string, never>> }
  readonly selectableFields: readonly { readonly jsonPath: string }[]
  readonly additionalPrinterColumns: readonly Column[]
  readonly schema: { readonly openAPIV3Schema: Structural }
}

interface Column {
  readonly name: string
  readonly type: 'string' | 'integer' | 'date'
  readonly jsonPath: string
  readonly description?: string
  /** Above 0: only with `-o wide`. */
  readonly priority?: number
}

const DESCRIPTION =
  'An L2Capture records the order books, trades and mark prices of symbols of one exchange, keeps what it can prove, and ships it as Parquet to S3-compatible storage: one pod a symbol.'

const SELECTABLE = ['.spec.exchange', '.spec.suspend', '.spec.storage.s3.bucket']

const condition = (type: string, field: string) => `.status.conditions[?(@.type=="${type}")].${field}`

const COLUMNS: readonly Column[] = [
  { name: 'Exchange', type: 'string', jsonPath: '.spec.exchange' },
  {
    name: 'Symbols',
    type: 'integer',
    jsonPath: '.status.symbols.desired',
    description: 'Symbols that the spec names.',
  },
  {
    name: 'Live',
    type: 'integer',
    jsonPath: '.status.symbols.live',
    description: 'Symbols with a live book.',
  },
  {
    name: 'Halted',
    type: 'integer',
    jsonPath: '.status.symbols.halted',
    description: 'Symbols that halted, and are not live again.',
  },
  {
    name: 'Ready',
    type: 'string',
    jsonPath: condition('Ready', 'status'),
    description: 'Every symbol is live, and what is recorded is shipped.',
  },
  {
    name: 'Reason',
    type: 'string',
    jsonPath: condition('Ready', 'reason'),
    description: 'Why it is ready, or is not.',
    priority: 1,
  },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
]

/** The definition as it is committed in crds/. */
export function captureDefinition(): CustomResourceDefinition {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${CAPTURES}.${API_GROUP}` },
    spec: {
      group: API_GROUP,
      scope: 'Namespaced',
      names: {
        kind: KIND,
        listKind: `${KIND}List`,
        plural: CAPTURES,
        singular: KIND.toLowerCase(),
        shortNames: ['l2c'],
      },
      versions: [
        {
          name: API_VERSION_NAME,
          served: true,
          storage: true,
          subresources: { status: {} },
          selectableFields: SELECTABLE.map((jsonPath) => ({ jsonPath })),
          additionalPrinterColumns: COLUMNS,
          schema: { openAPIV3Schema: captureSchema() },
        },
      ],
    },
  }
}

/** apiVersion, kind and the rest of metadata are the server's own. */
function captureSchema(): Structural {
  return {
    description: DESCRIPTION,
    type: 'object',
    required: ['spec'],
    properties: {
      metadata: { type: 'object', properties: { name: structural(CaptureName) } },
      spec: structural(ClusterCaptureSpec),
      status: structural(CaptureStatus),
    },
  }
}
