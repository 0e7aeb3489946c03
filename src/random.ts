/** The one source of chance where nobody tells another: in [0, 1). */
import { randomInt } from 'node:crypto'

export const systemRandom = (): number => randomInt(2 ** 32) / 2 ** 32
