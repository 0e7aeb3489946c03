/**
 * The one file that knows kafkajs's inside. Its producer costs twenty times as much, decides about sequences by itself
 * and hides what a broker answered; its connections (TCP, TLS, SASL, ApiVersions, replies, time-outs) are sound. So
 * requests of our own are sent over those. kafkajs 2.2.4 is its last release and pinned; `checkKafkajs` compares version
 * and shape at start, without the network, and nothing is shipped when they are not what this file knows.
 *
 * A connection is used once: kafkajs forgets to drop the half of a reply that was read when the old one broke.
 */
import { createRequire } from 'node:module'
import type { Kafka } from 'kafkajs'
import { SluicegateError } from '../../errors.js'
import { ByteWriter } from './bytes.js'
import { withinMs } from './within.js'

export const KAFKAJS_VERSION = '2.2.4'
const CREATE_CLUSTER = 'private:Kafka:createCluster'

/** A request of ours: its bytes, and how its reply reads. */
export interface ApiRequest<T> {
  readonly apiKey: number
  readonly apiName: string
  readonly apiVersion: number
  /** Made when it is sent; the first `headroom` bytes are filled in by who sends it. */
  encode(headroom: number): Buffer
  /** The system has taken what `encode` made: its memory may be used for something else. */
  release?(encoded: Buffer): void
  decode(reply: Buffer): T
}

export interface BrokerConnection {
  /** The connection is gone (or going): make another one. */
  readonly isClosed: boolean
  /** Versions that the broker offers of an API; undefined when it does not have it. */
  versionsOf(apiKey: number): { readonly minVersion: number; readonly maxVersion: number } | undefined
  /**
   * Requests leave in the order of the calls. Rejects when no reply came in time or the connection broke: whether the
   * broker acted is then unknown. After a time-out the connection is closed: a peer that hangs would hold what follows.
   */
  send<T>(request: ApiRequest<T>): Promise<T>
  close(): void
}

export interface Connector {
  /** A new connection, authenticated. Rejects after `timeoutMs` at the latest. */
  connect(host: string, port: number, timeoutMs: number): Promise<BrokerConnection>
}

/** As far as it is used here; what kafkajs has beyond is not looked at. */
interface InnerConnection {
  readonly clientId: string
  readonly requestQueue: { push(request: InnerRequest): void }
  readonly socket?: InnerSocket
  authenticate(): Promise<void>
  isConnected(): boolean
  nextCorrelationId(): number
  processData(data: Buffer): void
  rejectRequests(error: Error): void
  disconnect(): Promise<unknown>
}
interface InnerSocket {
  destroy(): void
  setNoDelay(on: boolean): void
  write(bytes: Buffer, written: (error?: Error | null) => void): void
}
/** What waits for a reply with this correlation id. */
interface InnerRequest {
  readonly entry: {
    readonly apiKey: number
    readonly apiName: string
    readonly apiVersion: number
    readonly correlationId: number
    resolve(reply: { readonly payload: Buffer }): void
    reject(error: Error): void
  }
  readonly expectResponse: true
  readonly requestTimeout: null
  sendRequest(): void
}
interface InnerPool {
  /** The first is the one that its broker connects. */
  readonly pool: readonly InnerConnection[]
}
interface InnerBroker {
  readonly connectionPool: InnerPool
  readonly versions: Readonly<Record<number, { minVersion: number; maxVersion: number }>> | null
  connect(): Promise<void>
}
interface InnerBrokerPool {
  readonly rootLogger: unknown
  readonly connectionPoolBuilder: { build(destination: { host: string; port: number }): Promise<InnerPool> }
  createBroker(options: { connectionPool: InnerPool; logger: unknown }): InnerBroker
}
const CONNECTION_METHODS = [
  'authenticate',
  'disconnect',
  'isConnected',
  'nextCorrelationId',
  'processData',
  'rejectRequests',
] as const
type CreateCluster = (options: { allowAutoTopicCreation: boolean }) => {
  readonly brokerPool: InnerBrokerPool
}

/** The installed kafkajs is not the one that this file was written for. */
export class KafkajsUnknown extends SluicegateError {
  constructor(found: string) {
    super('kafkajs_unknown', `kafkajs is not as expected (${KAFKAJS_VERSION}): ${found}.`)
  }
}

/** Throws KafkajsUnknown unless version and shape are those that `connectorOf` relies on. Opens no connection. */
export async function checkKafkajs(kafka: Kafka, version = installedVersion()): Promise<void> {
  if (version !== KAFKAJS_VERSION) throw new KafkajsUnknown(`version ${version} is installed`)
  const pool = brokerPoolOf(kafka)
  need(pool.connectionPoolBuilder, 'a builder of connection pools', ['build'])
  need(pool, 'a broker pool', ['createBroker'])
  // Port 0 of nowhere: these objects are made, and nothing connects.
  const connectionPool = await pool.connectionPoolBuilder.build({ host: 'localhost', port: 0 })
  const connection = connectionPool?.pool?.[0]
  need(connection, 'a connection', CONNECTION_METHODS)
  need(connection?.requestQueue, 'a queue of requests', ['push'])
  if (typeof connection?.clientId !== 'string') throw new KafkajsUnknown('a connection has no client id')
  const broker = pool.createBroker({ connectionPool, logger: pool.rootLogger })
  need(broker, 'a broker', ['connect'])
  if (broker.connectionPool !== connectionPool || broker.versions !== null) {
    throw new KafkajsUnknown('a broker does not show its connections and versions')
  }
}

function installedVersion(): string {
  const { version } = createRequire(import.meta.url)('kafkajs/package.json') as { version: string }
  return version
}

function need(value: unknown, what: string, methods: readonly string[]): void {
  const missing = methods.find(
    (name) => typeof (value as Record<string, unknown> | undefined)?.[name] !== 'function',
  )
  if (missing !== undefined) throw new KafkajsUnknown(`${what} has no ${missing}()`)
}

function brokerPoolOf(kafka: Kafka): InnerBrokerPool {
  const symbol = Object.getOwnPropertySymbols(kafka).find(({ description }) => description === CREATE_CLUSTER)
  if (symbol === undefined) throw new KafkajsUnknown(`there is no ${CREATE_CLUSTER}`)
  const create = (kafka as unknown as Record<symbol, CreateCluster>)[symbol]!
  const { brokerPool } = create({ allowAutoTopicCreation: false })
  if (brokerPool === undefined) throw new KafkajsUnknown('a cluster has no broker pool')
  return brokerPool
}

/** `checkKafkajs` must have passed. */
export function connectorOf(kafka: Kafka): Connector {
  const brokerPool = brokerPoolOf(kafka)
  return {
    async connect(host, port, timeoutMs) {
      const connectionPool = await brokerPool.connectionPoolBuilder.build({ host, port })
      const broker = brokerPool.createBroker({ connectionPool, logger: brokerPool.rootLogger })
      const connection = connectionPool.pool[0]!
      containFailures(connection)
      try {
        // kafkajs has no time limit on some steps of SASL.
        await withinMs(timeoutMs, broker.connect(), `no connection to ${host}:${port}`)
        // Or the end of a batch waits for the acknowledgement of what went before it.
        connection.socket?.setNoDelay(true)
        return new KafkajsConnection(broker, connection)
      } catch (error) {
        abandon(connection)
        throw error
      }
    },
  }
}

class KafkajsConnection implements BrokerConnection {
  private closed = false

  constructor(
    private readonly broker: InnerBroker,
    private readonly connection: InnerConnection,
  ) {}

  get isClosed(): boolean {
    return this.closed || !this.connection.isConnected()
  }

  versionsOf(apiKey: number): { readonly minVersion: number; readonly maxVersion: number } | undefined {
    return this.broker.versions?.[apiKey]
  }

  async send<T>(request: ApiRequest<T>): Promise<T> {
    await this.renewSession()
    try {
      return request.decode(await this.exchange(request))
    } catch (error) {
      if (!this.connection.isConnected() || isTimeout(error)) this.close()
      throw error
    }
  }

  /** SASL again when the broker's time limit for a session is near; else there is nothing to do. */
  private async renewSession(): Promise<void> {
    try {
      await this.connection.authenticate()
    } catch (error) {
      // Half renewed is no state to go on from.
      this.close()
      throw error
    }
  }

  /** kafkajs's own `send` would copy a batch twice, and hold the copy until the reply is here. */
  private exchange({ apiKey, apiName, apiVersion, ...request }: ApiRequest<unknown>): Promise<Buffer> {
    const { connection } = this
    return new Promise((resolve, reject) => {
      if (this.isClosed) return reject(new Error('the connection was closed'))
      const correlationId = connection.nextCorrelationId()
      const send = (): void => {
        const header = headerOf(apiKey, apiVersion, correlationId, connection.clientId)
        const frame = request.encode(header.length)
        frame.set(header)
        frame.writeInt32BE(frame.length - LENGTH_BYTES)
        connection.socket!.write(frame, (error) => {
          if (error === undefined || error === null) request.release?.(frame)
        })
      }
      connection.requestQueue.push({
        entry: {
          apiKey,
          apiName,
          apiVersion,
          correlationId,
          resolve: ({ payload }) => resolve(payload),
          reject,
        },
        expectResponse: true,
        requestTimeout: null,
        sendRequest: send,
      })
    })
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    abandon(this.connection)
  }
}

const LENGTH_BYTES = 4

/** Version 1, with room for the length in front; flexible versions begin their body with the tags of version 2. */
function headerOf(apiKey: number, apiVersion: number, correlationId: number, clientId: string): Buffer {
  const writer = new ByteWriter(64).int32(0)
  return writer.int16(apiKey).int16(apiVersion).int32(correlationId).string(clientId).finish()
}

/** What reads as no reply throws where the socket hands it over, which would end the process: it ends the connection. */
function containFailures(connection: InnerConnection): void {
  const processData = connection.processData.bind(connection)
  connection.processData = (data) => {
    try {
      processData(data)
    } catch {
      abandon(connection)
    }
  }
}

/** What waits for a reply is told, kafkajs's timers end, and the socket is not left to a peer that may hang. */
function abandon(connection: InnerConnection): void {
  connection.rejectRequests(new Error('the connection was closed'))
  connection.disconnect().catch(() => {})
  connection.socket?.destroy()
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.name === 'KafkaJSRequestTimeoutError'
}
