import { HALT_EXIT_CODES } from './reasons.ts'

/**
 * Conditions of an L2Capture and every reason that they may carry, one sentence each. All seven are always there.
 * Ready, Capturing and Uploading are good when True; Halted, Suspended, Reconciling and Stalled say that something
 * is the case, and are False in an ordinary life. kstatus reads Reconciling as "in progress", Stalled as "failed".
 */
export const CONDITION_TYPES = [
  'Ready',
  'Capturing',
  'Uploading',
  'Halted',
  'Suspended',
  'Reconciling',
  'Stalled',
] as const
export type ConditionType = (typeof CONDITION_TYPES)[number]

/** A halt's own reason stands in `Halted` too, where all halted symbols share it. */
const HALTS = Object.fromEntries(
  Object.keys(HALT_EXIT_CODES).map((reason) => [reason, `Every halted symbol halted with ${reason}.`]),
)

const CAPTURING = {
  AllSymbolsLive: 'The book of every symbol is live.',
  SymbolsStarting: 'Some symbols have no live pod yet.',
  SymbolsNotLive: 'Some symbols are not live; attention names them.',
  Suspended: 'Capturing is suspended by the spec.',
  SpecInvalid: 'The spec cannot be used; the message says where.',
  SymbolConflict: 'Every symbol that is not live belongs to an older L2Capture.',
}

export const CONDITION_REASONS: Readonly<Record<ConditionType, Readonly<Record<string, string>>>> = {
  Ready: {
    ...CAPTURING,
    AllSymbolsLive: 'Every symbol is live, and nothing is known to keep what is recorded from the store.',
    UploadFailing: 'Every symbol is live, but the store does not take what is recorded.',
    Stalled: 'Something waits for a person; the condition Stalled says what.',
  },
  Capturing: CAPTURING,
  Uploading: {
    UploadsSucceed: 'Every pod that could be asked ships what it records.',
    UploadFailing: 'At least one pod cannot ship; the message has its reason.',
    NotAsked: 'No pod has told yet how its uploads go.',
  },
  Halted: {
    NoneHalted: 'No symbol is halted.',
    ...HALTS,
    ConfigInvalid: 'Every halted symbol is down since its process refuses its configuration.',
    SeveralReasons: 'Symbols halted for several reasons; attention names them.',
    ExchangeSuspect: 'So many pods of the exchange halt alike that nothing is replaced until it is over.',
  },
  Suspended: {
    NotSuspended: 'The spec does not suspend capturing.',
    Draining: 'Capturing is suspended; pods still ship what they hold.',
    Drained: 'Capturing is suspended, and no pod holds anything any more: shipped, or told as BacklogLost.',
  },
  Reconciling: {
    UpToDate: 'The cluster is as the spec wants it.',
    Creating: 'Pods are being created, so many a minute.',
    RollingOut: 'Pods with an old template are being succeeded.',
    Replacing: 'Pods that halted or ended are being succeeded.',
    Draining: 'Pods that are not wanted any more ship what they hold.',
  },
  Stalled: {
    Progressing: 'Nothing waits for a person.',
    SpecInvalid: 'The spec cannot be used; the message says where.',
    SymbolConflict: 'An older L2Capture captures the same symbol into the same bucket and prefix.',
    SymbolStopped: 'A symbol cannot be captured with this spec, and is down until the spec changes.',
    PodRefused:
      'The API server takes no pod for a symbol, for a quota or a policy; the message has its words.',
    RolloutTimedOut: 'A successor was not live in time; the pod before it stays.',
  },
}

/** What `attention` says a symbol is. */
export const SYMBOL_STATES = [
  'Live',
  'Pending', // no pod yet, or no node or image for it
  'Starting', // its pod has never been live
  'Recovering', // its pod was live, and is not
  'Halted', // its process halted, and is not live again
  'Stopped', // down until the spec changes
  'Conflict', // an older L2Capture has it
] as const
export type SymbolState = (typeof SYMBOL_STATES)[number]

/** Reasons of events on an L2Capture, besides those of conditions and halts. */
export const EVENT_REASONS: Readonly<Record<string, string>> = {
  PodCreated: 'A capture pod was created; the note says why.',
  PodRefused:
    'The API server refused to create, change or delete a pod, for a quota or a policy; the note has its words.',
  PodDeleted: 'A capture pod was deleted; the note says why it may go.',
  PodDraining: 'A pod was asked to ship what it holds and to end.',
  PodDiscarded: 'A successor that was never live was asked to end; the pod before it goes on.',
  PodAdopted: "A pod with this capture's labels and no owner was taken over.",
  ForeignPod: "A pod has this capture's labels, and another owner or no capture in it; it is let alone.",
  BacklogLost: 'A pod could not ship what it held within a day, and was deleted; the note names the bytes.',
  SymbolStopped: 'A symbol is down until the spec changes.',
  RolloutTimedOut: 'A successor was not live in time; the pod before it stays.',
  AddressCrowded: 'More symbols share one address than its limits bear well.',
}
