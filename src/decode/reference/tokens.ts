/** Tokens to small integers: the reference decoder's table. */
import { type DecoderOptions, TOKEN_BYTES_MAX, TOKEN_SHARED, type TokenTable } from '../decoder.js'

/** Ids 0 and 1 have fixed meanings. */
const RESERVED = 2

export class TokenMap implements TokenTable {
  private readonly ids = new Map<string, number>()
  private readonly names: string[] = []

  constructor(private readonly tokensMax: number) {}

  get size(): number {
    return RESERVED + this.names.length
  }

  intern(token: string): number {
    const known = this.ids.get(token)
    if (known !== undefined) return known
    if (this.names.length >= this.tokensMax || isLong(token)) return TOKEN_SHARED
    const id = this.size
    this.names.push(token)
    this.ids.set(token, id)
    return id
  }

  find(token: string): number | undefined {
    return this.ids.get(token)
  }

  name(id: number): string | undefined {
    return this.names[id - RESERVED]
  }
}

function isLong(token: string): boolean {
  return token.length > TOKEN_BYTES_MAX || Buffer.byteLength(token) > TOKEN_BYTES_MAX
}

/** A table that holds the configured tokens first, in their order. */
export function createTokenTable(options: DecoderOptions): TokenTable {
  const table = new TokenMap(options.tokensMax)
  for (const token of options.tokensAllowed ?? []) table.intern(token)
  return table
}
