/**
 * `node --import …/panic.mjs dist/cli.js`: the native decoder panics on every body that holds PANIC_ON. The addon is
 * handed its own switch for that (native/addon); nothing of the program is changed.
 */
import { register } from 'node:module'

const shim = `
  import * as addon from ${JSON.stringify(new URL('../../../native/index.js', import.meta.url).href)}
  export const { layout, version } = addon
  export const createDecoder = (table, input, scratch, options) =>
    addon.createDecoder(table, input, scratch, { ...options, panicOn: Buffer.from('PANIC_ON') })
`
const hooks = `
  export const resolve = (specifier, context, next) =>
    specifier === '#native'
      ? { url: 'data:text/javascript,' + encodeURIComponent(${JSON.stringify(shim)}), shortCircuit: true }
      : next(specifier, context)
`
register(`data:text/javascript,${encodeURIComponent(hooks)}`)
