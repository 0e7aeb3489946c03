// Decoders that hand out plain objects, for the question why ours does not: in JavaScript (what JSON.parse makes anyway),
// the native decoder with an object made of every record's text, and Rust that builds the objects through Node-API.
import { spawnSync } from 'node:child_process'
import { copyFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { JavaScriptDecoder, readParameters } from './rival.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const isGood = ({ event, properties }) =>
  typeof event === 'string' && event !== '' && typeof properties.token === 'string' && properties.token !== ''

/** The rival's way to the text, then nothing but JSON.parse and a look at what every event must have. */
export function javaScriptObjects() {
  const rival = new JavaScriptDecoder()
  return ({ body, content, query }) => {
    const params = { data: '', ip: '', verbose: '', test: '' }
    if (query !== '') readParameters(query, params)
    const text = content === 2 ? body.utf8Slice(0, body.length) : rival.dataText(body, content, params)
    const value = JSON.parse(text)
    const events = Array.isArray(value) ? value : [value]
    if (!events.every(isGood)) throw new Error('refused')
    return events
  }
}

/** Our records, and of each the object that its envelope's text stands for. */
export function recordObjects(decoder, context, room) {
  return (request) => {
    const batch = decoder.decode(request, context, room)
    return Array.from({ length: batch.rows }, (_, index) => JSON.parse(batch.event(index).envelope).record)
  }
}

/** Builds the addon. @returns {((request: object) => object[]) | undefined} undefined where there is no Rust */
export function nodeApiObjects() {
  const target = join(root, '.cache/bench/node-api')
  const manifest = join(root, 'bench/decoders/node-api/Cargo.toml')
  const args = ['build', '--release', '--quiet', '--manifest-path', manifest, '--target-dir', target]
  const { status, error } = spawnSync('cargo', args, { stdio: ['ignore', 'ignore', 'inherit'] })
  if (error !== undefined) return undefined
  if (status !== 0) throw new Error('bench/decoders/node-api could not be built')
  const file = join(target, 'bench-node-api.node')
  copyFileSync(join(target, 'release/libbench_node_api.so'), file)
  const addon = createRequire(import.meta.url)(file)
  return ({ body, content, query }) => {
    if (content === 2) return addon.json(body)
    return content === 1 ? addon.form(body) : addon.query(query)
  }
}
