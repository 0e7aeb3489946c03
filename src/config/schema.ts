/**
 * Every setting, declared once. Flags, environment names, file keys, defaults, --help, `Config` and
 * docs/CONFIG.md all come from here: key `bodyLimitBytes` is `--body-limit-bytes`,
 * `SLUICEGATE_BODY_LIMIT_BYTES` and, in the file, `body_limit_bytes`.
 */
import { bytes, choice, duration, integer, list, matching, text, type Kind } from './kinds.js'
import { aliases, NO_ALIASES, PATH, trustedProxies } from './networks.js'

export const GROUPS = ['Serving', 'Clients', 'Storage', 'Kafka', 'Limits', 'Running'] as const
export type Group = (typeof GROUPS)[number]

export interface Setting<T> {
  readonly group: Group
  readonly kind: Kind<T>
  readonly default: T
  /** One line for --help. */
  readonly about: string
  /** Further sentences for docs/CONFIG.md. */
  readonly more?: string
  /** How the default is shown where the value alone would not tell. */
  readonly shownDefault?: string
  /** Honoured beside SLUICEGATE_…, which wins. */
  readonly alsoEnv?: string
  /** Listed by `serve --help`; the others by `serve --help-all`. */
  readonly common?: true
  /** Masked wherever settings are shown; has no flag, since other users of a machine can read a process's arguments. */
  readonly secret?: true
}

/** What a setting holds is what its kind reads; the default must fit. */
const setting = <T>(
  declaration: Omit<Setting<T>, 'default'> & { readonly default: NoInfer<T> },
): Setting<T> => declaration

/** A setting that may be left out: its value is then undefined. */
const optional = <T>(
  declaration: Omit<Setting<T>, 'default' | 'kind'> & { kind: Kind<T>; shownDefault: string },
): Setting<T | undefined> => {
  const { kind } = declaration
  const show = (value: T | undefined): string =>
    value === undefined ? declaration.shownDefault : kind.show(value)
  return { ...declaration, kind: { ...kind, show }, default: undefined }
}

const MiB = 2 ** 20
const GiB = 2 ** 30
const DAY_MS = 86_400_000
const port = integer(0, 65_535)
const broker = matching('HOST:PORT', /^[\w.-]+:\d{1,5}$/, 'brokers (HOST:PORT)')
const host = matching('HOST', /^[\w.:%-]+$/, 'an address or a host name')

// A table: two or three lines a setting.
// oxfmt-ignore
export const SETTINGS = {
  host: setting({
    group: 'Serving', kind: host, default: '127.0.0.1', alsoEnv: 'HOST', common: true,
    about: 'address to take events on; 0.0.0.0 or :: for all',
  }),
  port: setting({
    group: 'Serving', kind: port, default: 8080, alsoEnv: 'PORT', common: true,
    about: 'port to take events on; 0 picks a free one',
  }),
  opsHost: setting({
    group: 'Serving', kind: host, default: '127.0.0.1', common: true,
    about: 'address for health, metrics and status',
    more: 'Anyone who reaches this listener can read counters and replay rejected records: keep it private.',
  }),
  opsPort: setting({
    group: 'Serving', kind: port, default: 8081, common: true,
    about: 'port for health, metrics and status',
  }),
  mountPrefix: setting({
    group: 'Serving', default: '',
    kind: matching('PATH', new RegExp(`${PATH.source}|^$`), 'a path such as /mp, without a slash at its end'),
    about: 'serve the protocol below this path, e.g. /mp',
  }),
  aliases: setting({
    group: 'Serving', kind: aliases, default: NO_ALIASES,
    about: 'further paths of an endpoint, e.g. track=/t',
    more: 'Ad blockers match `/track`; the JavaScript library sends elsewhere with `api_routes`. ' +
      'In the file: `{"track":["/t"]}`.',
  }),
  trustedProxies: setting({
    group: 'Serving', kind: trustedProxies, default: [],
    about: 'proxies (CIDR) or hops trusted to name the client',
    more: 'A list: X-Forwarded-For is read from the right past addresses that are listed, and only if the ' +
      'peer itself is. A number: that many hops from the right are believed, whoever the peer is. ' +
      'Otherwise the header is ignored.',
  }),

  auth: setting({
    group: 'Clients', kind: choice('open', 'tokens'), default: 'open', common: true,
    about: 'take any token, or those of the tokens file',
  }),
  tokensFile: optional({
    group: 'Clients', kind: text('FILE'), shownDefault: 'none', common: true,
    about: 'JSON with tokens and their credentials',
  }),
  late: setting({
    group: 'Clients', kind: choice('flag', 'drop'), default: 'flag', common: true,
    about: 'what happens to events older than 5 days',
    more: '`drop` does what Mixpanel does: they are answered as accepted and not kept.',
  }),
  storeIp: setting({
    group: 'Clients', default: 'unless-refused', common: true,
    kind: choice('unless-refused', 'always', 'never'),
    about: 'keep the client address',
    more: 'A client refuses with `ip=0` in the request or `"ip":0` in the record.',
  }),
  redirectHosts: setting({
    group: 'Clients', default: [],
    kind: list('LIST', matching('HOST', /^[\w.-]+(:\d{1,5})?$/, 'host names (example.org, example.org:8443)')),
    about: 'hosts that redirect= may lead to',
    more: 'Empty: the parameter is ignored. An open redirect would serve phishing.',
  }),

  dataDir: setting({
    group: 'Storage', kind: text('DIR'), default: './sluicegate-data', common: true,
    about: 'directory of log, rejects and cursors',
    more: 'A local file system: the lock and fdatasync cannot be relied on over a network.',
  }),
  writer: setting({
    group: 'Storage', default: '0',
    kind: matching('NAME', /^[A-Za-z0-9][\w-]{0,63}$/, 'up to 64 letters, digits, - and _'),
    about: 'folder of this writer in the data directory',
  }),
  ack: setting({
    group: 'Storage', kind: choice('log', 'kafka'), default: 'log', common: true,
    about: 'success is answered once log or Kafka has it',
    more: '`log`: once the record is on stable storage; answers never wait for Kafka. `kafka`: once its partition ' +
      'has acknowledged it as well, with `acks=all`. The event is in the log in both cases.',
  }),
  ackDeadlineMs: setting({
    group: 'Storage', kind: duration(100, 600_000), default: 10_000,
    about: 'with --ack kafka: 503 after this time',
    more: 'The event stays in the log and is published later; a client that repeats the request sends the same ' +
      '`$insert_id` again.',
  }),
  logMaxBytes: optional({
    group: 'Storage', shownDefault: '16 GiB or half the free disk', common: true,
    kind: bytes(16 * MiB, 2 ** 50),
    about: 'most the log may take',
    more: 'By default the smaller of 16 GiB and half of the disk that is free at start.',
  }),
  logWhenFull: setting({
    group: 'Storage', kind: choice('refuse', 'drop-oldest'), default: 'refuse', common: true,
    about: 'answer 503, or drop the oldest events',
  }),
  logRetentionMs: setting({
    group: 'Storage', kind: duration(0, 3650 * DAY_MS), default: 0, shownDefault: 'off', common: true,
    about: 'drop segments that all cursors passed after',
    more: '0: they go only when their space is needed.',
  }),
  logSegmentBytes: setting({
    group: 'Storage', kind: bytes(MiB, 4 * GiB), default: 64 * MiB,
    about: 'size of a log segment',
  }),
  rejectBytesMax: optional({
    group: 'Storage', kind: bytes(MiB, 2 ** 40), shownDefault: '10 % of the log',
    about: 'most that rejected records may take; oldest go',
  }),
  quarantineBytesMax: setting({
    group: 'Storage', kind: bytes(0, 2 ** 40), default: 64 * MiB,
    about: 'most that torn ends set aside may take; oldest go',
    more: 'After a crash the unfinished end of a log, never acknowledged, is cut off and kept in `quarantine/`.',
  }),

  kafka: setting({
    group: 'Kafka', kind: list('LIST', broker), default: [], common: true,
    about: 'brokers to publish to (HOST:PORT,…)',
    more: 'Some of the cluster are enough, the others are learned from them. Empty: nothing is published. ' +
      'IPv6 addresses need a host name.',
  }),
  topicPrefix: setting({
    group: 'Kafka', default: 'sluicegate.', common: true,
    kind: matching('TEXT', /^[\w.-]{0,200}$/, 'up to 200 letters, digits, ., _ and -, or nothing'),
    about: 'topics are this and track, engage, groups, import',
    more: 'Topics are never made by the server: `sluicegate topics create` does it.',
  }),
  topicsFile: optional({
    group: 'Kafka', kind: text('FILE'), shownDefault: 'none',
    about: 'JSON with tokens whose topics are others',
  }),
  kafkaFrom: setting({
    group: 'Kafka', kind: choice('start', 'end'), default: 'start',
    about: 'where the first publishing of a log begins',
    more: '`start`: with the oldest record that the log still has. `end`: with what comes from now on; what was ' +
      'before is not published. Only asked when nothing of this log was ever published.',
  }),
  kafkaExactlyOnce: setting({
    group: 'Kafka', kind: choice('require', 'prefer'), default: 'require',
    about: 'without exactly once: refuse, or at least once',
    more: 'Exactly once reaches into the pinned Kafka client. When that is not what it should be, `require` ' +
      'publishes nothing and says why, `prefer` publishes at least once and says so.',
  }),
  kafkaCompression: setting({
    group: 'Kafka', kind: choice('none', 'gzip', 'lz4', 'zstd'), default: 'none',
    about: 'compression of batches',
    more: 'lz4 costs a few µs a record, gzip more than twice as much. zstd needs Node 22.15 or newer.',
  }),
  kafkaLingerMs: setting({
    group: 'Kafka', kind: duration(0, 60_000), default: 5,
    about: 'wait so long for a batch to grow',
    more: 'Grows by itself under load; 0 sends at once.',
  }),
  kafkaBatchBytes: setting({
    group: 'Kafka', kind: bytes(16 * 1024, 64 * MiB), default: 900 * 1024,
    about: 'size of a batch, before compression',
    more: 'A larger record makes a batch of its own. Stays below the topic\'s `max.message.bytes` in any case.',
  }),
  kafkaClientId: setting({
    group: 'Kafka', default: 'sluicegate',
    kind: matching('NAME', /^[\w.-]{1,200}$/, 'up to 200 letters, digits, ., _ and -'),
    about: 'name in the logs and quotas of brokers',
  }),
  kafkaConnectTimeoutMs: setting({
    group: 'Kafka', kind: duration(100, 600_000), default: 5000,
    about: 'time to connect to a broker, TLS included',
  }),
  kafkaRequestTimeoutMs: setting({
    group: 'Kafka', kind: duration(500, 600_000), default: 10_000,
    about: 'time for a broker to answer',
    more: 'A broker that hangs is noticed after this time; what was sent to it is then sent again.',
  }),
  kafkaTls: setting({
    group: 'Kafka', kind: choice('off', 'on'), default: 'off',
    about: 'connect to the brokers with TLS',
  }),
  kafkaTlsCaFile: optional({
    group: 'Kafka', kind: text('FILE'), shownDefault: "Node's own list",
    about: 'PEM of the authorities that sign the brokers',
  }),
  kafkaTlsCertFile: optional({
    group: 'Kafka', kind: text('FILE'), shownDefault: 'none',
    about: 'PEM of the client certificate',
  }),
  kafkaTlsKeyFile: optional({
    group: 'Kafka', kind: text('FILE'), shownDefault: 'none',
    about: 'PEM of the client certificate\'s key',
  }),
  kafkaTlsKeyPassphrase: optional({
    group: 'Kafka', kind: text('TEXT'), shownDefault: 'none', secret: true,
    about: 'passphrase of that key',
  }),
  kafkaTlsKeyPassphraseFile: optional({
    group: 'Kafka', kind: text('FILE'), shownDefault: 'none',
    about: 'file that holds the passphrase of that key',
  }),
  kafkaSasl: setting({
    group: 'Kafka', kind: choice('none', 'plain', 'scram-sha-256', 'scram-sha-512'), default: 'none',
    about: 'how to log in to the brokers',
  }),
  kafkaSaslUsername: optional({
    group: 'Kafka', kind: text('NAME'), shownDefault: 'none',
    about: 'user to log in as',
  }),
  kafkaSaslPassword: optional({
    group: 'Kafka', kind: text('TEXT'), shownDefault: 'none', secret: true,
    about: 'password of that user',
  }),
  kafkaSaslPasswordFile: optional({
    group: 'Kafka', kind: text('FILE'), shownDefault: 'none',
    about: 'file that holds the password of that user',
  }),

  bodyLimitBytes: setting({
    group: 'Limits', kind: bytes(1024, 256 * MiB), default: 10 * MiB, common: true,
    about: 'largest body, compressed and inflated (413)',
    more: 'Mobile clients cannot shrink a batch that is refused: keep it well above 50 ordinary events.',
  }),
  batchBytesMax: setting({
    group: 'Limits', kind: bytes(MiB, 512 * MiB), default: 16 * MiB,
    about: 'most that one request may add to the log',
    more: 'Also the size of a full batch buffer. Records are larger than the events in them: keep it 4 MiB above ' +
      'the body limit. A request that does not fit is answered 413.',
  }),
  memoryInflightBytes: setting({
    group: 'Limits', kind: bytes(16 * MiB, 2 ** 40), default: 256 * MiB,
    about: 'memory for requests under way; beyond it 503',
    more: 'One budget for bodies being received, inflated bytes, waiting requests and batch buffers.',
  }),
  connectionsMax: setting({
    group: 'Limits', kind: integer(1, 1_000_000), default: 10_000,
    about: 'open connections; beyond it 503',
  }),
  tokensMax: setting({
    group: 'Limits', kind: integer(16, 1_000_000), default: 65_536,
    about: 'tokens counted apart; the rest share a row',
  }),
  headTimeoutMs: setting({
    group: 'Limits', kind: duration(100, 600_000), default: 10_000,
    about: 'time for the head of a request (408)',
  }),
  bodyTimeoutMs: setting({
    group: 'Limits', kind: duration(100, 3_600_000), default: 30_000,
    about: 'time for the body of a request (408)',
  }),
  commitTimeoutMs: setting({
    group: 'Limits', kind: duration(100, 600_000), default: 30_000,
    about: 'wait for a disk that does not answer; then 503',
    more: 'Requests get 503 from then on, until the disk answers again. A batch that was refused so is not in the ' +
      'log afterwards, unless the process ends before the disk has answered.',
  }),
  keepAliveTimeoutMs: setting({
    group: 'Limits', kind: duration(1000, 3_600_000), default: 80_000,
    about: 'how long an idle connection stays open',
    more: 'Longer than that of any load balancer in front: Python, Ruby and Node clients do not repeat a ' +
      'POST on a connection that has just closed.',
  }),

  decoder: setting({
    group: 'Running', kind: choice('auto', 'native', 'reference'), default: 'auto', common: true,
    about: 'Rust module, TypeScript, or whichever is there',
  }),
  drainMs: setting({
    group: 'Running', kind: duration(0, 600_000), default: 5000, common: true,
    about: 'time to serve on after SIGTERM',
    more: '/ready answers 503 meanwhile, so that a load balancer can turn away first.',
  }),
  readyFile: optional({
    group: 'Running', kind: text('FILE'), shownDefault: 'none', common: true,
    about: 'write the addresses here as JSON when ready',
  }),
  logLevel: setting({
    group: 'Running', default: 'info', alsoEnv: 'LOG_LEVEL', common: true,
    kind: choice('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
    about: 'least level of the lines on stderr',
  }),
  logFormat: setting({
    group: 'Running', kind: choice('auto', 'json', 'text'), default: 'auto',
    about: 'lines on stderr; auto: text on a terminal',
  }),
}

export type Key = keyof typeof SETTINGS
export const KEYS = Object.keys(SETTINGS) as readonly Key[]

/** The setting of a key as a Setting of whatever it holds: for code that treats all alike. */
export function settingOf(key: Key): Setting<unknown> {
  return SETTINGS[key] as Setting<unknown>
}

const snake = (key: string): string => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** `body_limit_bytes`: the key in the file. */
export const fileKey = (key: string): string => snake(key)
/** `body-limit-bytes`: the flag without its dashes. */
export const flagName = (key: string): string => snake(key).replaceAll('_', '-')
/** `SLUICEGATE_BODY_LIMIT_BYTES`. */
export const envName = (key: string): string => `SLUICEGATE_${snake(key).toUpperCase()}`

/** All settings with their values, before the files that they name are read. */
export type Settings = {
  readonly [K in Key]: (typeof SETTINGS)[K] extends Setting<infer T> ? T : never
}
