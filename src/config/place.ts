/** Checking the content of the JSON files that settings name. */
import { UsageError } from '../errors.js'
import { suggest } from './suggest.js'

/**
 * A place in a file that is checked member by member, for messages: `tokens[2].secrets[0]`. They never repeat what
 * stands there, which may be a credential.
 */
export class Place {
  constructor(
    /** `tokens file /etc/tokens.json` */
    private readonly file: string,
    private readonly name: string,
  ) {}

  in(member: string): Place {
    return new Place(this.file, `${this.name}.${member}`)
  }

  item(index: number): Place {
    return new Place(this.file, `${this.name}[${index}]`)
  }

  fail(problem: string): never {
    throw new UsageError(`${this.file}: ${this.name || 'the file'} ${problem}`)
  }

  text(value: unknown): string {
    return typeof value === 'string' && value !== '' ? value : this.fail('must be text that is not empty')
  }

  array(value: unknown): readonly unknown[] {
    return Array.isArray(value) ? value : this.fail('must be a list')
  }

  object(value: unknown, known: readonly string[]): Readonly<Record<string, unknown>> {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) this.fail('must be an object')
    const unknown = Object.keys(value as object).find((key) => !known.includes(key))
    if (unknown !== undefined) this.fail(`has an unknown member ${unknown}${suggest(unknown, known)}`)
    return value as Readonly<Record<string, unknown>>
  }
}
