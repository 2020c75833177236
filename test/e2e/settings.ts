/** What the administrator decides in these tests. */
export const IMAGE = 'l2cap:test'

/**
 * The administrator's times: what is waited for is short, and what a machine that stalls could run into is long. Tests
 * of a deadline set it themselves.
 */
const SETTINGS = {
  image: IMAGE,
  times: {
    successorDeadlineSeconds: 180,
    statusPollSeconds: 1,
    handoverSeconds: 180,
    handoffSeconds: 2,
    terminationGraceSeconds: 300,
    discardSeconds: 60,
    lostNodeSeconds: 60,
  },
  limits: { startsPerMinute: 600 },
}

export interface Administered {
  readonly times?: object
  readonly limits?: object
  readonly pods?: object
  readonly addresses?: number
  /** Of the exchange, in place of the simulator's. */
  readonly endpoints?: string
}

/** The operator's settings; `endpoints`: where the exchange is, unless the test says otherwise. */
export function settingsOf(endpoints: string, settings: Administered = {}): object {
  return {
    ...SETTINGS,
    endpoints: { BinanceUsdm: settings.endpoints ?? endpoints },
    ...(settings.addresses === undefined ? {} : { addresses: settings.addresses }),
    times: { ...SETTINGS.times, ...settings.times },
    limits: { ...SETTINGS.limits, ...settings.limits },
    ...(settings.pods === undefined ? {} : { pods: settings.pods }),
  }
}
