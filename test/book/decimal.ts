/**
 * A double as its canonical decimal: no exponent, no trailing zeros. JavaScript writes numbers below 1e-6 and from
 * 1e21 on with an exponent, which the golden files never do. Throws RangeError for what is no decimal.
 */
export function canonicalDecimal(value: number): string {
  if (!Number.isFinite(value) || value < 0) throw new RangeError(`${value} is no price and no quantity`)
  const text = String(value)
  const [mantissa = '', power] = text.split('e')
  if (power === undefined) return text
  const [whole = '', fraction = ''] = mantissa.split('.')
  const digits = whole + fraction
  const point = whole.length + Number(power)
  if (point <= 0) return `0.${'0'.repeat(-point)}${digits}`
  if (point >= digits.length) return digits + '0'.repeat(point - digits.length)
  return `${digits.slice(0, point)}.${digits.slice(point)}`
}
