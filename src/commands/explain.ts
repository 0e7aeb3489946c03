/** `sluicegate explain`: how a payload is understood, step by step, with a caret under the byte at fault. */
import { InvalidArgumentError, Option, type Command } from 'commander'
import { gunzipSync } from 'node:zlib'
import { systemClock } from '../clock.js'
import type { ConfigKey } from '../config.js'
import { Content, type ContentClass, type DecodeRequest } from '../decode/decoder.js'
import { explain, type ExplainedRecord, type Explanation } from '../decode/explain.js'
import { UsageError } from '../errors.js'
import { type Endpoint, ENDPOINTS } from '../record.js'
import { rawOf } from '../rejects/envelope.js'
import { caretAt } from './caret.js'
import { addSettings, command, configOf } from './command.js'
import { decoderOptions } from '../decoder-options.js'
import { readInputFile } from './input-file.js'
import { requestId } from '../request-id.js'

const KEYS = [
  'auth',
  'tokensFile',
  'late',
  'storeIp',
  'bodyLimitBytes',
  'batchBytesMax',
  'tokensMax',
] as const satisfies readonly ConfigKey[]
const SHOWN_KEYS = ['auth', 'tokensFile', 'late'] as const
const CONTENTS = Object.keys(Content) as (keyof typeof Content)[]

const NOTES = `FILE (or - for standard input) holds a request's body, also gzipped; or its URL with the query; or a
rejected record as "sluicegate tail --kind rejected" prints it.

Exit code 1 when a record, or all of it, would be rejected.

Examples:
  echo '{"properties":{"token":"t0k"}}' | sluicegate explain
  sluicegate explain --endpoint import --strict events.ndjson
  sluicegate explain 'http://localhost:8080/track?data=eyJldmVudCI6IkEifQ=='`

interface ExplainFlags {
  readonly endpoint?: Endpoint
  readonly content: keyof typeof Content
  readonly query: string
  readonly strict?: true
  readonly json?: true
}

export function explainCommand(): Command {
  const made = command(
    'explain',
    'Shows how a payload is understood: form, base64, text, JSON, rules.',
    NOTES,
  )
    .argument('[FILE]', 'the body, or - for standard input', '-')
    .addOption(
      new Option('--endpoint <NAME>', 'track, engage, groups or import [track]').argParser(word(ENDPOINTS)),
    )
    .addOption(
      new Option('--content <CLASS>', `media type: ${CONTENTS.join(', ')} [sniff]`)
        .default('sniff')
        .argParser(word(CONTENTS)),
    )
    .option('--query <TEXT>', 'query string of the request, e.g. ip=1&strict=1', '')
    .option('--strict', 'as with strict=1')
    .option('--json', 'print the explanation as JSON')
  return addSettings(made, SHOWN_KEYS).action(
    (file: string, flags: ExplainFlags & Record<string, unknown>) => {
      const { config } = configOf(flags, KEYS)
      const input = readInput(file, flags)
      const explanation = explain(input.request, contextOf(), decoderOptions(config))
      const shown =
        flags.json === true ? asJson(explanation) : [...input.notes, asText(explanation)].join('\n')
      process.stdout.write(`${shown}\n`)
      if (explanation.problem !== undefined || explanation.records.some(isRejected)) process.exitCode = 1
    },
  )
}

const isRejected = (record: ExplainedRecord): boolean => record.outcome === 'rejected'

function word<W extends string>(words: readonly W[]): (text: string) => W {
  return (text) => {
    const found = words.find((one) => one === text.toLowerCase())
    if (found === undefined) throw new InvalidArgumentError(`It must be one of ${words.join(', ')}.`)
    return found
  }
}

interface Input {
  readonly request: DecodeRequest
  readonly notes: readonly string[]
}

function readInput(file: string, flags: ExplainFlags): Input {
  const strict = flags.strict === true ? ['strict=1'] : []
  const query = [flags.query, ...strict].filter((part) => part !== '').join('&')
  if (isUrl(file)) return urlInput(file, flags.endpoint, query)
  const { bytes, notes } = inflated(readInputFile(file))
  const text = bytes.length <= 128 * 1024 ? Buffer.from(bytes).toString().trim() : ''
  if (isUrl(text)) return urlInput(text, flags.endpoint, query)
  const kept = rejectedRecord(text)
  const endpoint = flags.endpoint ?? kept?.endpoint ?? 'track'
  const content: ContentClass = kept === undefined ? Content[flags.content] : Content.json
  return { request: { endpoint, content, body: kept?.raw ?? bytes, query }, notes }
}

const isUrl = (text: string): boolean => /^(https?:\/\/[^\s/]+)?\/\S*\?\S+$/.test(text)

function urlInput(url: string, endpoint: Endpoint | undefined, query: string): Input {
  const at = url.indexOf('?')
  const path = url.slice(0, at).replace(/\/+$/, '')
  const named = ENDPOINTS.find((name) => path.endsWith(`/${name}`))
  const full = [url.slice(at + 1), query].filter((part) => part !== '').join('&')
  const request = {
    endpoint: endpoint ?? named ?? 'track',
    content: Content.none,
    body: new Uint8Array(),
    query: full,
  }
  return { request, notes: [] }
}

function inflated(bytes: Uint8Array): { bytes: Uint8Array; notes: readonly string[] } {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return { bytes, notes: [] }
  try {
    const plain = gunzipSync(bytes, { maxOutputLength: 256 * 2 ** 20 })
    return { bytes: plain, notes: [`gzip    ${bytes.length} bytes, ${plain.length} inflated`] }
  } catch (cause) {
    throw new UsageError(`data, invalid gzip: ${(cause as Error).message}`, { cause })
  }
}

/** A line of `tail --kind rejected`: the raw text in it is what is to be explained. */
function rejectedRecord(text: string): { endpoint: Endpoint; raw: Uint8Array } | undefined {
  if (!text.startsWith('{') || !text.includes('"kind":"rejected"')) return undefined
  try {
    const { kind, endpoint, ...kept } = JSON.parse(text) as Record<string, string | undefined>
    const known = ENDPOINTS.find((name) => name === endpoint)
    if (kind !== 'rejected' || known === undefined) return undefined
    return { endpoint: known, raw: rawOf(kept) }
  } catch {
    return undefined
  }
}

function contextOf(): Parameters<typeof explain>[1] {
  return {
    receivedMs: systemClock.nowMs(),
    requestId: requestId('explain'),
    peer: { ipJson: 'null', uaJson: 'null' },
    authToken: '',
    projectId: null,
    replayed: false,
  }
}

function asText({ steps, payload, problem, records }: Explanation): string {
  const lines = steps.flatMap((step) => [
    `${step.name.padEnd(8)}${step.found}`,
    ...step.repairs.map((repair) => `        repaired: ${repair}`),
  ])
  if (problem !== undefined) lines.push('', ...problemLines('the payload is rejected', payload, problem))
  for (const record of records) lines.push('', ...recordLines(record, payload))
  return lines.join('\n')
}

function recordLines(record: ExplainedRecord, payload: Uint8Array): readonly string[] {
  const flags = record.flags.length > 0 ? `, flags: ${record.flags.join(', ')}` : ''
  const title = `record ${record.index} is ${record.outcome}${flags}`
  if (record.problem !== undefined) {
    // Only the record itself: its neighbours would distract.
    const own = payload.subarray(record.start, record.start + record.length)
    return problemLines(title, own, record.problem, record.start)
  }
  if (record.envelope === undefined) return [title]
  return [`${title}, partition key ${record.key}`, `  ${record.envelope}`]
}

function problemLines(
  title: string,
  bytes: Uint8Array,
  problem: NonNullable<Explanation['problem']>,
  start = 0,
): readonly string[] {
  const inside = problem.offset >= start && problem.offset <= start + bytes.length
  const [text, caret] = inside ? caretAt(bytes, problem.offset - start) : []
  const shownCaret = caret?.replace(/byte \d+/, `byte ${problem.offset}`)
  return [
    `${title}: ${problem.message}`,
    ...(text === undefined ? [] : [`  ${text}`, `  ${shownCaret}`]),
    `  ${problem.code}${problem.pointer === '' ? '' : ` at ${problem.pointer}`}`,
    `  hint: ${problem.hint}`,
    `  docs: docs/ERRORS.md#${problem.code}`,
  ]
}

function asJson({ steps, payload, problem, records }: Explanation): string {
  const bytes = Buffer.from(payload)
  const text = bytes.toString()
  const shown = Buffer.from(text).equals(bytes)
    ? { payload: text }
    : { payload_base64: bytes.toString('base64') }
  const json = JSON.stringify({ steps, ...shown, ...(problem && { problem }), records }, envelopeMark, 2)
  // The envelope goes in as it stands: parsing it would round large numbers.
  return json.replace(MARK, (_, index: string) => `"envelope": ${records[Number(index)]!.envelope!}`)
}

const MARK = /"envelope": "\\u0000(\d+)"/g

function envelopeMark(this: { index?: number }, key: string, value: unknown): unknown {
  return key === 'envelope' ? `\0${this.index}` : value
}
