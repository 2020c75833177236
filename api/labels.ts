/**
 * Every word that the operator, the pods and the people who select them must spell alike: labels, annotations,
 * names in the environment, paths in a pod.
 */

export const API_GROUP = 'l2cap.dev'
export const API_VERSION_NAME = 'v1alpha1'
export const API_VERSION = `${API_GROUP}/${API_VERSION_NAME}` as const
export const KIND = 'L2Capture'
/** The resource in paths and rules. */
export const CAPTURES = 'l2captures'

export const LABELS = {
  name: 'app.kubernetes.io/name',
  component: 'app.kubernetes.io/component',
  managedBy: 'app.kubernetes.io/managed-by',
  /** Name of the L2Capture. */
  capture: 'l2cap.dev/capture',
  exchange: 'l2cap.dev/exchange',
  /** The symbol as far as a label can spell it; the annotation has all of it. */
  symbolSlug: 'l2cap.dev/symbol-slug',
} as const

/** On every capture pod; the operator selects by name and component. */
export const POD_LABELS = {
  [LABELS.name]: 'l2cap',
  [LABELS.component]: 'capture',
  [LABELS.managedBy]: 'l2cap-operator',
} as const

export const ANNOTATIONS = {
  symbol: 'l2cap.dev/symbol',
  /** Symbols behind one address, rounded up to a power of two: decimal. */
  share: 'l2cap.dev/share',
  /** `true`: ship everything and end; `discard`: end, another pod publishes the same. */
  drain: 'l2cap.dev/drain',
  /** When the operator asked for that: RFC 3339. */
  drainSince: 'l2cap.dev/drain-since',
  /** finishedAt of the container's last end that was known then: its report says nothing about this drain. */
  drainSeen: 'l2cap.dev/drain-seen',
  templateHash: 'l2cap.dev/template-hash',
  /** `<pod>/<uid>`, or empty. */
  predecessor: 'l2cap.dev/predecessor',
  /** Why the pod was created: one word. */
  cause: 'l2cap.dev/cause',
  /** The generation of the spec that the pod was made or last tried under. */
  generation: 'l2cap.dev/generation',
  /** finishedAt of the last end that was known when that was noted: its report is of an earlier try. */
  generationSeen: 'l2cap.dev/generation-seen',
  /** The reason that the symbol is down for until its spec changes. */
  stopped: 'l2cap.dev/stopped',
  stoppedGeneration: 'l2cap.dev/stopped-generation',
  stoppedMessage: 'l2cap.dev/stopped-message',
  /** On a pod whose successor was not live in time: `<template hash> <RFC 3339>`. */
  failedSuccessor: 'l2cap.dev/failed-successor',
} as const

export const CONTAINER_NAME = 'capture'

/** The environment of the container. */
export const CONFIG_ENV = 'L2CAP_CONFIG'

export const HTTP_PORT = 9090
export const HTTP_PORT_NAME = 'http'

export const SPOOL_DIR = '/spool'
export const TERMINATION_LOG = '/dev/termination-log'
export const PODINFO_DIR = '/etc/podinfo'
export const ANNOTATIONS_FILE_NAME = 'annotations'
export const ANNOTATIONS_FILE = `${PODINFO_DIR}/${ANNOTATIONS_FILE_NAME}`
