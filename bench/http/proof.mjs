// Before anything is timed: all contenders give the same answers to the same requests, and those that store have stored
// the same records. A difference ends the run.
import { deepStrictEqual, strictEqual } from 'node:assert'
import { request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { readLog } from '../../dist/log/reader.js'
import { RECORD_HEADER_BYTES } from '../../dist/record.js'
import { refusedRequests } from './requests.mjs'

/** What no two runs of a server can have in common: when a request came, and the name it was given. */
const OWN = /"received_ms":(\d+),"request_id":"\w+"/

function withoutOwn(envelope) {
  const [own, receivedMs] = OWN.exec(envelope)
  // An event without a time has that of its receipt.
  return envelope
    .replace(own, '"received_ms":0,"request_id":""')
    .replace(`"time_ms":${receivedMs},`, '"time_ms":0,')
}

/** @returns {Promise<{status: number, body: string}>} */
export function send(port, { path, headers, body }, method = 'POST') {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', port, path, method, headers }, (response) => {
      let text = ''
      response.on('data', (chunk) => (text += chunk))
      response.on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode, body: text }))
    })
    request.on('error', reject).end(body)
  })
}

export async function answersOf(port, requests) {
  const answers = []
  for (const request of requests) answers.push(await send(port, request))
  return answers
}

/** The media type is everyone's own: plain text in the protocol, JSON where a framework's parser answers. */
const ACCEPTED = { status: 200, body: '1' }

/** `1` to everything good, and `0` to what is refused from those who look. */
async function proveAnswers({ name, decodes }, child, requests) {
  for (const answer of await answersOf(child.port, requests)) deepStrictEqual(answer, ACCEPTED, name)
  if (!decodes) return
  for (const { body } of await answersOf(child.port, refusedRequests())) strictEqual(body, '0', name)
}

const recordText = ({ kind, flags, keyHash, tokenLength, key, value }) =>
  [kind, flags, keyHash | 0, tokenLength, key, withoutOwn(value)].join(' ')

async function logRecords({ dataDir }) {
  const texts = []
  for await (const record of readLog({ directory: join(dataDir, '0', 'log'), from: 'start' })) {
    const [key, value] = [record.key, record.value].map((bytes) => Buffer.from(bytes).toString())
    texts.push(recordText({ ...record, key, value }))
  }
  return texts
}

/** The same out of the bytes that the decoder wrote (src/record.ts). */
function parseRecords(bytes) {
  const texts = []
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUInt32LE(at)
    const keyStart = at + RECORD_HEADER_BYTES
    const keyEnd = keyStart + bytes.readUInt32LE(at + 16)
    texts.push(
      recordText({
        kind: bytes[at + 4],
        flags: bytes.readUInt16LE(at + 6),
        keyHash: bytes.readInt32LE(at + 8),
        tokenLength: bytes.readUInt32LE(at + 12),
        key: bytes.toString('utf8', keyStart, keyEnd),
        value: bytes.toString('utf8', keyEnd, at + length),
      }),
    )
    at += length
  }
  return texts
}

async function nullRecords(child) {
  const kept = await child.ask('records', { keep: false })
  return kept.flatMap((text) => parseRecords(Buffer.from(text, 'base64')))
}

async function proveRecords(contender, child, requests) {
  const texts = contender.stores === 'log' ? await logRecords(child) : await nullRecords(child)
  const events = requests.flatMap((request) => request.events)
  strictEqual(texts.length, events.length, `${contender.name}: records for ${events.length} events`)
  texts.forEach((text, index) => {
    const stored = JSON.parse(text.slice(text.indexOf('{"v":1'))).record
    deepStrictEqual(stored, JSON.parse(events[index]), contender.name)
  })
  return texts
}

/** An event as it was sent; servers add the address. */
function plain({ event, properties }) {
  const { ip: _ip, ...rest } = properties
  return JSON.stringify([event, Object.entries(rest).toSorted(([one], [other]) => (one < other ? -1 : 1))])
}

/** Rivals store in forms of their own: what they have is what was sent, in whatever order. */
async function proveStored(contender, child, requests) {
  const sent = requests.flatMap(({ events }) => events.map((event) => plain(JSON.parse(event)))).toSorted()
  const stored = (await contender.records(child, sent.length)).map(plain).toSorted()
  strictEqual(stored.length, sent.length, contender.name)
  const differs = sent.findIndex((text, index) => text !== stored[index])
  if (differs >= 0) strictEqual(stored[differs], sent[differs], contender.name)
}

/**
 * @param {{contender: object, child: object}[]} started
 * @param {import('./requests.mjs').Request[]} requests
 * @returns {Promise<{answers: number, records: number}>} how much was compared
 */
export async function prove(started, requests) {
  let answers = 0
  let first
  for (const { contender, child } of started) {
    const all = requests.filter(({ wrap }) => contender.wraps.includes(wrap))
    if (contender.stores === 'null log') await child.ask('records', { keep: true })
    await proveAnswers(contender, child, all)
    answers += all.length
    if (contender.records !== undefined) await proveStored(contender, child, all)
    if (contender.stores === undefined) continue
    const texts = await proveRecords(contender, child, all)
    first ??= texts
    // Not deepStrictEqual: its account of two long lists takes minutes.
    const differs = texts.findIndex((text, index) => text !== first[index])
    if (differs >= 0) strictEqual(texts[differs], first[differs], `${contender.name}: record ${differs}`)
  }
  return { answers, records: first?.length ?? 0 }
}
