/** A planned fault, and how it is written: `kind:SYMBOL[/place][=value]@seconds[+duration]`. */
import { SimError } from '../errors.ts'
import type { FaultKind, FaultPlace } from './kind.ts'
import { FAULT_KINDS, type FaultKindName, isFaultKind, kindOf } from './table.ts'

export interface FaultPlan {
  readonly kind: FaultKindName
  /** `*`: whichever symbol; its time counts from the first depth subscription of any. */
  readonly symbol: string
  /** Which sockets or requests it concerns, for the kinds that may choose. */
  readonly route: FaultPlace
  readonly afterMs: number
  /** Undefined: as long as its kind lasts. A kind that acts once acts each time within a duration. */
  readonly durationMs?: number | undefined
  readonly value?: number | undefined
}

/** Where a kind may act; the first place is the one where none is named. */
const PLACES: Readonly<Record<FaultKind['at'], readonly FaultPlace[]>> = {
  depth: ['public'],
  trade: ['market'],
  silence: ['public', 'market'],
  socket: ['public', 'market'],
  handshake: ['public', 'market', 'any'],
  snapshot: ['depth'],
  answer: ['depth', 'trades', 'time', 'info', 'any'],
  exchange: ['any'],
}

const GRAMMAR =
  /^([^:]+):([^/@=]+)(?:\/([^@=]+))?(?:=(-?\d+(?:\.\d+)?))?@(\d+(?:\.\d+)?)(?:\+(\d+(?:\.\d+)?))?$/

/**
 * Reads a list such as `drop:ETHUSDT@8,cut:BTCUSDT/market@15,silence:*@20+60,rest_5xx:BTCUSDT/any=503@3`.
 * Throws SimError `wrong_call`.
 */
export function parseFaults(text: string): FaultPlan[] {
  return text
    .split(',')
    .filter((part) => part.trim() !== '')
    .map((part) => parseFault(part.trim()))
}

function parseFault(text: string): FaultPlan {
  const match = GRAMMAR.exec(text)
  if (match === null) {
    throw wrong(text, 'is not kind:SYMBOL[/place][=value]@seconds[+duration], like drop:ETHUSDT@8')
  }
  const [, kind = '', symbol = '', place, value, seconds, duration] = match
  if (!isFaultKind(kind)) {
    throw wrong(text, `is of no known kind; there are: ${Object.keys(FAULT_KINDS).join(', ')}`)
  }
  const entry = kindOf(kind)
  if (value !== undefined && entry.value === undefined) throw wrong(text, `has a value; ${kind} takes none`)
  const plan = { kind, symbol, route: placeOf(text, entry, place), afterMs: Number(seconds) * 1000 }
  return {
    ...plan,
    ...(duration === undefined ? {} : { durationMs: Number(duration) * 1000 }),
    ...(value === undefined ? {} : { value: Number(value) }),
  }
}

function placeOf(text: string, entry: FaultKind, named: string | undefined): FaultPlace {
  const places = PLACES[entry.at]
  // A fault of one kind of stream has its place already.
  const fixed = entry.at === 'silence' && entry.channels !== 'route'
  const chosen = named === undefined ? places[0] : places.find((place) => place === named)
  if (chosen !== undefined && !(named !== undefined && (fixed || places.length === 1))) return chosen
  throw wrong(
    text,
    fixed || places.length === 1
      ? 'names a place; it takes none'
      : `names an unknown place; there are: ${places.join(', ')}`,
  )
}

function wrong(text: string, what: string): SimError {
  return new SimError('wrong_call', `The fault "${text}" ${what}.`)
}
