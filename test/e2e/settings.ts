/** What the administrator decides in these tests. */
export const IMAGE = 'l2cap:test'

/** The administrator's times, short enough to be waited for. */
const SETTINGS = {
  image: IMAGE,
  times: {
    successorDeadlineSeconds: 40,
    statusPollSeconds: 1,
    handoverSeconds: 60,
    handoffSeconds: 2,
    terminationGraceSeconds: 120,
    discardSeconds: 10,
    lostNodeSeconds: 1,
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
