/** Whose address and User-Agent the envelope holds: docs/PROTOCOL.md 9.3. */
import { afterEach, describe, expect, test } from 'vitest'
import { trustedProxies } from '../../src/config/networks.js'
import { addressOf, Peers, userAgentJson } from '../../src/http/peer.js'
import { EVENT } from '../decode/harness.js'
import { Client, type Harness, JSON_BODY, requestBytes, startIngest } from './support.js'

describe('address', () => {
  test.each([
    ['192.0.2.1', '192.0.2.1'],
    [' 192.0.2.1 ', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:192.0.2.1', '192.0.2.1'],
    ['192.0.2.1:4711', '192.0.2.1'],
    ['[2001:db8::1]:443', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['unknown', undefined],
    ['192.0.2.256', undefined],
    ['', undefined],
    ['"192.0.2.1"', undefined],
  ])('%s is %s', (text, address) => expect(addressOf(text)).toBe(address))
})

const client = (trusted: string, peer: string | undefined, forwarded = '', realIp = ''): string | undefined =>
  new Peers(trustedProxies.parse(trusted)).clientOf(peer, forwarded, realIp)

describe('without trusted proxies', () => {
  test('the peer is the client, whatever headers say', () => {
    expect(client('', '198.51.100.7', '192.0.2.1', '192.0.2.2')).toBe('198.51.100.7')
    expect(client('', undefined, '192.0.2.1')).toBeUndefined()
  })
})

describe('a number of hops', () => {
  test('counts from the right', () => {
    expect(client('1', '10.0.0.1', '192.0.2.1, 192.0.2.2, 192.0.2.3')).toBe('192.0.2.3')
    expect(client('2', '10.0.0.1', '192.0.2.1, 192.0.2.2, 192.0.2.3')).toBe('192.0.2.2')
  })
  test('ends at the last entry there is', () => {
    expect(client('9', '10.0.0.1', '192.0.2.1, 192.0.2.2')).toBe('192.0.2.1')
  })
  test('X-Real-IP counts where there is no X-Forwarded-For', () => {
    expect(client('1', '10.0.0.1', '', '192.0.2.9')).toBe('192.0.2.9')
    expect(client('1', '10.0.0.1', '192.0.2.1', '192.0.2.9')).toBe('192.0.2.1')
    expect(client('1', '10.0.0.1', '', 'nonsense')).toBe('10.0.0.1')
  })
})

describe('a list of networks', () => {
  const trusted = '10.0.0.0/8,2001:db8:1::/48,192.0.2.200'
  test('is walked from the right past what it holds', () => {
    expect(client(trusted, '10.1.1.1', '203.0.113.9, 192.0.2.1, 10.2.2.2')).toBe('192.0.2.1')
    expect(client(trusted, '10.1.1.1', '203.0.113.9, 192.0.2.200, 2001:db8:1::5')).toBe('203.0.113.9')
    expect(client(trusted, '::ffff:10.1.1.1', '203.0.113.9')).toBe('203.0.113.9')
  })
  test('does not believe a peer outside of it', () => {
    expect(client(trusted, '198.51.100.7', '203.0.113.9', '203.0.113.8')).toBe('198.51.100.7')
    expect(client(trusted, '198.51.100.7', '', '203.0.113.8')).toBe('198.51.100.7')
  })
  test('ends where an entry is no address: nothing left of it can be believed', () => {
    expect(client(trusted, '10.1.1.1', '203.0.113.9, unknown, 10.2.2.2')).toBe('10.2.2.2')
    expect(client(trusted, '10.1.1.1', 'unknown')).toBe('10.1.1.1')
  })
  test('reaches the leftmost entry when all are trusted', () => {
    expect(client(trusted, '10.1.1.1', '10.3.3.3,10.2.2.2')).toBe('10.3.3.3')
  })
})

describe('User-Agent', () => {
  test.each([
    [undefined, 'null'],
    ['', 'null'],
    ['curl/8', '"curl/8"'],
    ['a"b\\c', '"a\\"b\\\\c"'],
    ['x'.repeat(257), JSON.stringify('x'.repeat(256))],
    [Buffer.from('ä€').toString('latin1'), '"ä€"'],
    ['\xff', '"\ufffd"'],
    // 255 bytes and a character of three: it does not fit.
    [Buffer.from('x'.repeat(255) + '€').toString('latin1'), JSON.stringify('x'.repeat(255))],
    [Buffer.from('x'.repeat(253) + '€y').toString('latin1'), JSON.stringify('x'.repeat(253) + '€')],
  ])('%j', (header, json) => expect(userAgentJson(header)).toBe(json))
})

describe('on a connection', () => {
  let harness: Harness
  afterEach(() => harness.close())

  test('each request has the address and User-Agent of its own headers', async () => {
    harness = await startIngest({ config: { trustedProxies: 1 } })
    const connection = await Client.open(harness.port)
    const seen = [
      ['192.0.2.1', 'one'],
      ['192.0.2.1', 'one'],
      ['192.0.2.2', 'one'],
      ['192.0.2.2', 'two'],
    ] as const
    for (const [ip, ua] of seen) {
      const headers = { ...JSON_BODY, 'X-Forwarded-For': ip, 'User-Agent': ua }
      connection.write(requestBytes('/track?ip=1', { headers, body: JSON.stringify(EVENT) }))
      expect((await connection.reply()).body).toBe('1')
    }
    connection.destroy()
    expect(harness.log.envelopes.map(({ ip, ua }) => [ip, ua])).toEqual(seen)
  })
})
