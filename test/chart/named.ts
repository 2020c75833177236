/** Metrics that the alerts and the dashboard of the chart read. */

/** Names of metrics in the text of an expression; a histogram's series are the histogram. */
export function metricsIn(text: string): string[] {
  const names = text.match(
    /\b(?:l2cap_[a-z0-9_]+|(?:controller_runtime|leader_election|workqueue|process|nodejs|rest_client)_[a-z0-9_]+)/g,
  )
  return [...new Set((names ?? []).map((name) => name.replace(/_(?:bucket|sum|count)$/, '')))]
}
