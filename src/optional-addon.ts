/** The addon for those whom it only helps. */
import { importAddon } from './addon-file.js'

/** Its exports; none of them when there is no addon that can be loaded. */
export function optionalAddon<Exports>(): Promise<Partial<Exports>> {
  return importAddon().catch(() => ({})) as Promise<Partial<Exports>>
}
