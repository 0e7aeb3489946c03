// Writes every file that is derived from a declaration. `--check` writes nothing and fails when one is out of date.
import { readFileSync, writeFileSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { configDoc } from './generate/config-doc.mjs'
import { errorsDoc } from './generate/errors-doc.mjs'
import { metricsDoc } from './generate/metrics-doc.mjs'
import { kafkaErrorsDoc } from './generate/kafka-errors-doc.mjs'
import { loadSources } from './generate/modules.mjs'
import { rustProblems, typescriptProblems } from './generate/problems.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const check = process.argv.includes('--check')
const stale = []

const { problems } = readJson('native/problems.json')
put('native/core/src/problem.rs', rustProblems(problems))
put('src/decode/problems.ts', typescriptProblems(problems))

const sources = await loadSources(root, ['config/schema.ts', 'metrics.ts', 'ship/kafka/error-table.ts'])
put('docs/CONFIG.md', configDoc(sources['config/schema.ts']))
put('docs/METRICS.md', metricsDoc(sources['metrics.ts']))
put('docs/KAFKA_ERRORS.md', kafkaErrorsDoc(sources['ship/kafka/error-table.ts']))
put('docs/ERRORS.md', errorsDoc(problems, readJson('scripts/generate/examples.json')))

if (check && stale.length > 0) {
  console.error(`out of date, run "npm run generate": ${stale.join(', ')}`)
  process.exit(1)
}

function readJson(path) {
  return JSON.parse(readFileSync(root + path, 'utf8'))
}

function put(path, text) {
  let before = ''
  try {
    before = readFileSync(root + path, 'utf8')
  } catch {}
  if (before === text) return
  stale.push(path)
  if (check) return
  mkdirSync(dirname(root + path), { recursive: true })
  writeFileSync(root + path, text)
  console.log(`wrote ${path}`)
}
