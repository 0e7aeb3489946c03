/** docs/ERRORS.md promises that each example payload causes its code: here each one is decoded. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { Content, StoreIp, type DecoderOptions } from '../../src/decode/decoder.js'
import { PROBLEMS } from '../../src/decode/problems.js'
import { createReferenceDecoder } from '../../src/decode/reference/decoder.js'
import type { Endpoint } from '../../src/record.js'
import { sharedBytes } from '../../src/shared-bytes.js'
import { requestId } from '../../src/request-id.js'

interface Example {
  readonly endpoint: Endpoint
  readonly strict?: boolean
  readonly payload?: string
  readonly data?: string
  readonly tokens?: readonly string[]
  readonly words?: string
}

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const { examples } = JSON.parse(read('scripts/generate/examples.json')) as {
  examples: Record<string, Example>
}

function codeOf(example: Example): string | undefined {
  const options: DecoderOptions = {
    recordsMax: 2000,
    recordBytesMax: 1_048_576,
    payloadBytesMax: 1_048_576,
    outputBytesMax: 1_048_576,
    storeIp: StoreIp.unlessRefused,
    dropLate: false,
    tokensAllowed: example.tokens,
    tokensMax: 16,
  }
  const form = example.data === undefined ? undefined : `data=${encodeURIComponent(example.data)}`
  const request = {
    endpoint: example.endpoint,
    content: form === undefined ? Content.json : Content.form,
    body: Buffer.from(form ?? example.payload ?? ''),
    query: example.strict === true ? 'strict=1' : '',
  }
  const context = {
    receivedMs: 1_795_500_000_000,
    requestId: requestId('R1'),
    peer: { ipJson: 'null', uaJson: 'null' },
    authToken: '',
    projectId: null,
    replayed: false,
  }
  const room = { bytes: sharedBytes(1_048_576), position: 0, end: 1_048_576 }
  return createReferenceDecoder(options).decode(request, context, room).problem(0)?.code
}

describe('docs/ERRORS.md', () => {
  const codes = [...PROBLEMS.values()].map((problem) => problem.code)

  it('has an example for every code and none for others', () => {
    expect(Object.keys(examples).toSorted()).toEqual(codes.toSorted())
  })

  it.each(Object.entries(examples).filter(([, example]) => example.words === undefined))(
    '%s',
    (code, example) => {
      expect(codeOf(example)).toBe(code)
    },
  )

  it('has an anchor for every code', () => {
    const document = read('docs/ERRORS.md')
    for (const code of codes) expect(document).toContain(`\n### ${code}\n`)
  })
})
