/** One record as the rules and the envelope see it: the members they read, each where it stands. */
import type { Endpoint } from '../../record.js'
import { type Members, NO_MEMBERS, readMembers, type Value } from './members.js'
import type { FoundRecord } from './records.js'

const EVENT_MEMBERS = new Set(['event', 'properties', '$mp_metadata'])
const PROPERTIES = new Set([
  'token',
  'distinct_id',
  'time',
  '$insert_id',
  'ip',
  '$ignore',
  '$user_id',
  '$device_id',
  'mp_lib',
  '$lib_version',
])
const PROFILE_MEMBERS = new Set([
  '$token',
  '$distinct_id',
  '$group_key',
  '$group_id',
  '$insert_id',
  '$time',
  '$ip',
  '$mp_metadata',
  '$set',
  '$set_once',
  '$add',
  '$append',
  '$union',
  '$remove',
  '$unset',
  '$delete',
])
const METADATA_MEMBERS = new Set(['$mp_event_id'])

/** Where something is at fault, and the member that is meant if it has a name. */
export interface Fault {
  readonly problem: number
  readonly offset: number
  readonly memberStart: number
  readonly memberLength: number
}

export class Item {
  readonly top: Members
  /** The members of the last `properties`; empty when that is no object. */
  readonly properties: Members
  readonly isEvent: boolean

  /** `found` must be an object. */
  constructor(
    readonly bytes: Uint8Array,
    readonly found: FoundRecord,
    endpoint: Endpoint,
  ) {
    this.isEvent = endpoint === 'track' || endpoint === 'import'
    this.top = readMembers(bytes, found, this.isEvent ? EVENT_MEMBERS : PROFILE_MEMBERS)
    const properties = this.top.get('properties')
    this.properties = properties?.kind === 'object' ? readMembers(bytes, properties, PROPERTIES) : NO_MEMBERS
  }

  /** A member of `properties`, or of a profile's top level. */
  field(name: string): Value | undefined {
    return this.isEvent ? this.properties.get(name) : this.top.get(name)
  }

  /** The record's own insert id, if it has one that can be named. */
  insertId(): Value | undefined {
    const value = this.field('$insert_id')
    return value?.text() === undefined ? undefined : value
  }

  metadataEventId(): Value | undefined {
    const metadata = this.top.get('$mp_metadata')
    if (metadata?.kind !== 'object') return undefined
    return readMembers(this.bytes, metadata, METADATA_MEMBERS).get('$mp_event_id')
  }

  /** A fault at a top-level member, or at the record when the member is not there. */
  faultAt(problem: number, name: string): Fault {
    return fault(problem, (this.top.get(name) ?? this.found).start)
  }

  /** A fault at a member of `properties`, or at the properties when it is not there. */
  faultInProperties(problem: number, name: string): Fault {
    return fault(problem, (this.properties.get(name) ?? this.top.get('properties') ?? this.found).start)
  }
}

export function fault(problem: number, offset: number, memberStart = -1, memberEnd = -1): Fault {
  return { problem, offset, memberStart, memberLength: memberStart < 0 ? 0 : memberEnd - memberStart }
}

/** A string that is not empty. */
export function nonEmpty(value: Value | undefined): string | undefined {
  const text = value?.string()
  return text === '' ? undefined : text
}

/** A string that is not empty, or a number's text. */
export function stringOrNumber(value: Value | undefined): string | undefined {
  return value?.kind === 'number' ? value.raw() : nonEmpty(value)
}

/** A string that is not empty, or the text of a number or boolean. */
export function scalar(value: Value | undefined): string | undefined {
  return value?.kind === 'boolean' ? value.raw() : stringOrNumber(value)
}

/** There, and not null. */
export function isPresent(value: Value | undefined): value is Value {
  return value !== undefined && value.kind !== 'null'
}
