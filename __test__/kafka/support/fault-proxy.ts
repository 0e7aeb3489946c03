/**
 * A fault broker: a TCP proxy before a real one that knows where Kafka's requests and replies begin and end, so that
 * the ambiguous cases (was it written, or not?) are certain instead of likely.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** Kafka's number of a kind of request. */
export const API = { produce: 0, fetch: 1, metadata: 3, initProducerId: 22, describeProducers: 61 } as const

export interface ProxiedRequest {
  readonly apiKey: number
  readonly apiVersion: number
  readonly bytes: number
}

export type Fault =
  /** The connection ends before the broker has seen the request: it was certainly not written. */
  | { readonly kind: 'lose_request' }
  /** The broker has answered; the connection ends instead of the reply: it was certainly written. */
  | { readonly kind: 'lose_reply' }
  /** Half of the reply arrives, then the connection ends. */
  | { readonly kind: 'cut_reply' }
  /** The broker has answered; the client gets the end of its stream instead, and may go on sending. */
  | { readonly kind: 'half_close' }
  /** The broker has answered; nothing arrives, and the connection stays open. */
  | { readonly kind: 'hang' }
  /** The reply arrives later; those behind it as well. */
  | { readonly kind: 'delay'; readonly ms: number }

/** Says what happens to a request; undefined: nothing. */
export type FaultPlan = (request: ProxiedRequest) => Fault | undefined

export class FaultProxy {
  /** How often each kind of fault has happened. */
  readonly happened = new Map<Fault['kind'], number>()
  private readonly links = new Set<Link>()
  private plan: FaultPlan = () => undefined
  private refusing = false

  private constructor(
    private readonly server: Server,
    private readonly brokerPort: number,
  ) {
    server.on('connection', (client) => this.accept(client))
  }

  static async start(brokerPort: number): Promise<FaultProxy> {
    const server = createServer({ allowHalfOpen: true })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new FaultProxy(server, brokerPort)
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port
  }

  /** From now on, for all connections. */
  faults(plan: FaultPlan): void {
    this.plan = plan
  }

  /** The next request of a kind meets a fault; after it there are none. Resolves once it has happened. */
  next(apiKey: number, fault: Fault): Promise<void> {
    return new Promise((resolve) => {
      this.plan = (request) => {
        if (request.apiKey !== apiKey) return undefined
        this.plan = () => undefined
        resolve()
        return fault
      }
    })
  }

  heal(): void {
    this.plan = () => undefined
    this.refusing = false
  }

  /** Ends all connections and takes no new ones, as a broker that is away. */
  refuse(): void {
    this.refusing = true
    this.cut()
  }

  /** Ends all connections; new ones are taken. */
  cut(): void {
    for (const link of this.links) link.destroy()
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve))
    this.cut()
    await closed
  }

  private accept(client: Socket): void {
    if (this.refusing) return void client.resetAndDestroy()
    const broker = connect({ port: this.brokerPort, host: '127.0.0.1', allowHalfOpen: true })
    const judge = (request: ProxiedRequest): Fault | undefined => {
      const fault = this.plan(request)
      if (fault !== undefined) this.happened.set(fault.kind, (this.happened.get(fault.kind) ?? 0) + 1)
      return fault
    }
    const link = new Link(client, broker, judge)
    this.links.add(link)
    client.once('close', () => this.links.delete(link))
  }
}

/** One connection. Kafka answers a connection's requests in their order, so replies are matched by counting. */
class Link {
  /** Of requests that are not answered yet. */
  private readonly awaited: (Fault | undefined)[] = []
  private replies: Promise<void> = Promise.resolve()
  /** Half a reply was the last that the client gets. */
  private isCut = false

  constructor(
    private readonly client: Socket,
    private readonly broker: Socket,
    judge: FaultPlan,
  ) {
    for (const socket of [client, broker]) {
      socket.setNoDelay(true).on('error', () => {})
      socket.once('close', () => this.destroy())
    }
    forEachFrame(client, (frame) => this.request(frame, judge))
    forEachFrame(broker, (frame) => {
      const fault = this.awaited.shift()
      // One after the other, also when some are late.
      this.replies = this.replies.then(() => this.reply(frame, fault))
    })
    client.once('end', () => broker.end())
    broker.once('end', () => void this.replies.then(() => client.end()))
  }

  destroy(): void {
    this.client.destroy()
    this.broker.destroy()
  }

  private request(frame: Buffer, judge: FaultPlan): void {
    const fault = judge({
      apiKey: frame.readInt16BE(4),
      apiVersion: frame.readInt16BE(6),
      bytes: frame.length,
    })
    if (fault?.kind === 'lose_request') return this.destroy()
    this.awaited.push(fault)
    forward(frame, this.client, this.broker)
  }

  private async reply(frame: Buffer, fault: Fault | undefined): Promise<void> {
    switch (fault?.kind) {
      case 'lose_reply':
        return this.destroy()
      case 'cut_reply':
        this.isCut = true
        this.client.write(frame.subarray(0, frame.length >> 1), () => this.destroy())
        return
      case 'half_close':
        return void this.client.end()
      case 'hang':
        return
      case 'delay':
        await sleep(fault.ms)
    }
    if (this.client.writable && !this.isCut) forward(frame, this.broker, this.client)
  }
}

function forward(frame: Buffer, from: Socket, to: Socket): void {
  if (to.write(frame)) return
  from.pause()
  to.once('drain', () => from.resume())
}

const LENGTH_BYTES = 4

/** Calls with each message, its length before it; requests and replies are framed alike. */
function forEachFrame(socket: Socket, take: (frame: Buffer) => void): void {
  let parts: Buffer[] = []
  let have = 0
  let need = LENGTH_BYTES
  socket.on('data', (part) => {
    parts.push(part)
    have += part.length
    while (have >= need) {
      const bytes = parts.length === 1 ? parts[0]! : Buffer.concat(parts)
      const length = bytes.readInt32BE(0) + LENGTH_BYTES
      need = length
      parts = [bytes]
      if (have < length) return
      parts = have === length ? [] : [bytes.subarray(length)]
      have -= length
      need = LENGTH_BYTES
      take(bytes.subarray(0, length))
    }
  })
}
