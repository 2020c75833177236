import {
  Bool,
  Field,
  Float64,
  Int32,
  Int64,
  List,
  Schema,
  TimestampMicrosecond,
  TimestampMillisecond,
  Utf8,
} from 'apache-arrow'
import type { Column } from './columns.ts'

/** What a list column holds. */
export const listItem = new Field('element', new Float64(), false)

function fieldOf({ name, kind }: Column): Field {
  switch (kind) {
    case 'int32':
      return new Field(name, new Int32(), false)
    case 'int64':
      return new Field(name, new Int64(), false)
    case 'time_ms':
      return new Field(name, new TimestampMillisecond('UTC'), false)
    case 'time_us':
      return new Field(name, new TimestampMicrosecond('UTC'), false)
    case 'float':
      return new Field(name, new Float64(), false)
    case 'float?':
      return new Field(name, new Float64(), true)
    case 'bool':
      return new Field(name, new Bool(), false)
    case 'text':
      return new Field(name, new Utf8(), false)
    case 'text?':
      return new Field(name, new Utf8(), true)
    case 'floats':
      return new Field(name, new List(listItem), false)
  }
}

/** The columns as Arrow knows them. */
export function arrowSchema(list: readonly Column[]): Schema {
  return new Schema(list.map(fieldOf))
}
