/** What the shipper knows: the cluster, its topics and their lanes, the routes in force; and how that becomes the state. */
import type { LogRecord } from '../log/types.js'
import type { Backoff } from './backoff.js'
import type { Flight } from './flight.js'
import { Lane } from './lane.js'
import { Router, type RouteTable, tableId, topicsOf } from './route.js'
import type { ShipperOptions, ShipperParts } from './parts.js'
import { type ProducerIdentity, type SinkCause, SinkUnavailable } from './sink.js'
import type { ShipState } from './state.js'
import { Topic } from './topic.js'

interface BoardParts extends Pick<
  ShipperParts,
  'sink' | 'source' | 'store' | 'cursor' | 'writerId' | 'firstOffset' | 'say'
> {
  readonly backoff: () => Backoff
}

export class Board {
  readonly topics = new Map<string, Topic>()
  readonly memory = { used: 0 }
  producer: ProducerIdentity | undefined
  nextRoutes: ShipState['nextRoutes']
  head = 0
  /** Asks the feeder once there is one. */
  headOf: () => number = () => this.head
  /** The cluster answered when it was last asked. */
  reachable = false
  /** What keeps everything from getting on. */
  cause: SinkCause | undefined
  /** Records acknowledged since the start, when the last of them was (ms since 1970), and batches. */
  records = 0
  lastMs: number | undefined
  batches = 0
  /** Replies that were not acknowledgements. */
  failed = 0
  /** Records that went to the rejects. */
  refused = 0
  /** Records sent that may be at the broker twice. */
  possibleDuplicates = 0
  /** See ShipState. */
  lostTo = 0
  private clusterId = ''
  private routes = ''
  private router!: Router<Topic>
  private readonly doubts = new Set<string>()

  constructor(
    private readonly parts: BoardParts,
    private readonly options: Pick<ShipperOptions, 'routes' | 'from'>,
  ) {}

  *lanes(): Generator<Lane> {
    for (const topic of this.topics.values()) yield* topic.lanes
  }

  topicOf(record: LogRecord): Topic {
    return this.router.topicOf(record)
  }

  /** Everything gets on. */
  get isWell(): boolean {
    if (!this.reachable) return false
    for (const topic of this.topics.values()) {
      if (topic.cause !== undefined || topic.partitions === 0) return false
      if (topic.lanes.some(({ blockedSinceMs }) => blockedSinceMs !== undefined)) return false
    }
    return true
  }

  hasUnsaved(): boolean {
    for (const lane of this.lanes()) if (lane.hasUnsaved) return true
    return false
  }

  /** Reads the state; answers where the log has to be read from. */
  async load(): Promise<{ readonly position: number; readonly isNew: boolean }> {
    const loaded = await this.parts.store.load()
    const state = this.usable(loaded.state)
    if (state === undefined) await this.begin(loaded.state !== undefined, loaded.doubtful)
    else await this.goOn(state, loaded.doubtful)
    let position = this.head
    for (const { waitingFrom } of this.topics.values()) position = Math.min(position, waitingFrom ?? position)
    for (const lane of this.lanes())
      position = Math.min(position, lane.unknownFrom ?? position, lane.oldest ?? position)
    return { position, isNew: state === undefined }
  }

  state(): ShipState {
    const { clusterId, producer, lostTo, routes, nextRoutes } = this
    const head = this.headOf()
    const topics = [...this.topics.values()].map((topic) => topic.state(head))
    return {
      writerId: this.parts.writerId,
      clusterId,
      producer,
      head,
      lostTo,
      routes,
      nextRoutes,
      topics,
    }
  }

  /** Looks the topics up. False when the cluster cannot be reached. */
  async look(): Promise<boolean> {
    try {
      const view = await this.parts.sink.describe([...this.topics.keys()])
      if (this.clusterId !== '' && this.clusterId !== view.clusterId) this.changeCluster(view.clusterId)
      this.clusterId = view.clusterId
      for (const topic of view.topics) {
        const event = this.topics.get(topic.name)?.learn(topic, this.headOf())
        if (event === undefined) continue
        this.parts.say('warn', event)
        // Lanes that are new in an old place must not send under an id that was used there.
        this.producer = undefined
      }
      for (const { name, cause } of view.unusable) this.unusable(this.topics.get(name), cause)
      if (!this.reachable) this.becomeReachable()
      this.cause = undefined
      return true
    } catch (error) {
      if (!(error instanceof SinkUnavailable)) throw error
      if (this.cause?.code !== error.cause.code) this.parts.say('warn', `Kafka: ${error.cause.message}`)
      this.reachable = false
      this.cause = error.cause
      return false
    }
  }

  /** What waits because nothing could be reached need not wait any longer. */
  private becomeReachable(): void {
    if (this.cause !== undefined) this.parts.say('info', 'Kafka can be reached again')
    for (const lane of this.lanes()) lane.retryNow()
    this.reachable = true
  }

  /** @throws SinkUnavailable */
  async takeProducer(): Promise<void> {
    const { sink } = this.parts
    this.producer = sink.exactlyOnce ? await sink.producerIdentity() : NOBODY
  }

  /**
   * Ends changes of partitions and routes whose time has come; whether one has.
   *
   * @param saved the state on disk
   */
  async advance(saved: ShipState | undefined): Promise<boolean> {
    let changed = false
    for (const topic of this.topics.values()) {
      changed = topic.finishSearch() || changed
      changed = topic.finishChange() || changed
    }
    return (await this.finishRoutes(saved)) || changed
  }

  delivered({ records, possibleDuplicate }: Flight, nowMs: number): void {
    this.records += records
    this.batches++
    this.lastMs = nowMs
    if (!this.reachable) this.becomeReachable()
    if (possibleDuplicate) this.possibleDuplicates += records
  }

  /** Of the topic, as what is found: the number of partitions may have been another. */
  unknownFrom({ topic }: Lane): number {
    return this.topics.get(topic)?.unknownFrom ?? 0
  }

  found({ topic }: Lane, logOffset: number): void {
    this.topics.get(topic)?.noteArrived(logOffset)
  }

  /** It could not be found out what has arrived. */
  doubt({ topic }: Lane, { message }: SinkCause): void {
    if (this.doubts.has(topic)) return
    this.doubts.add(topic)
    const text = `${topic}: it may not be read, so that records are sent again as possible duplicates: ${message}`
    this.parts.say('warn', text)
  }

  /** undefined for a state of another log, or one that knows more of the log than there is. */
  private usable(state: ShipState | undefined): ShipState | undefined {
    const { writerId, source } = this.parts
    return state?.writerId === writerId && state.head <= source.durableOffset ? state : undefined
  }

  private async begin(isReplaced: boolean, isLost: boolean): Promise<void> {
    const { cursor, say, firstOffset, source, store } = this.parts
    const known = await cursor.get()
    const fresh = this.options.from === 'end' ? source.durableOffset : firstOffset
    this.head = Math.min(isReplaced ? firstOffset : (known ?? fresh), source.durableOffset)
    this.routes = await store.keepTable(this.options.routes)
    this.route(this.options.routes)
    if (isReplaced) {
      say(
        'warn',
        'the log is another than the one that was shipped so far: shipping begins with its first record',
      )
    } else if (isLost || known !== undefined) {
      const why = isLost ? 'the shipping state is damaged' : 'the shipping state is missing'
      say('warn', `${why}: what has been sent from offset ${this.head} on is looked for in the topics`)
      this.lostTo = source.durableOffset
      this.beUnknown(await store.hasOtherTables(this.routes))
    }
  }

  private async goOn(state: ShipState, doubtful: boolean): Promise<void> {
    const { store, say, source } = this.parts
    const { clusterId, producer, head, lostTo, routes } = state
    Object.assign(this, { clusterId, producer, head, lostTo, routes })
    const configured = await store.keepTable(this.options.routes)
    const table = await store.table(routes)
    if (doubtful) this.lostTo = source.durableOffset
    // What was sent before the state was lost is looked for in the topics of the routes in force.
    const from = state.nextRoutes?.from ?? Math.max(head, this.lostTo)
    if (configured !== routes) this.nextRoutes = { id: configured, from }
    if (table === undefined)
      say('error', 'the former routes are lost: what was under way goes by the present ones')
    this.route(table ?? this.options.routes)
    for (const topic of state.topics) this.topicNamed(topic.name).restore(topic, head)
    if (!doubtful) return
    // It may have been used for partitions of which the state does not tell.
    this.producer = undefined
    say('warn', 'a part of the shipping state is damaged: what was sent is looked for in the topics')
    // The next routes may have been in force already.
    for (const name of topicsOf(this.options.routes)) this.topicNamed(name)
    this.beUnknown(state.nextRoutes !== undefined && state.nextRoutes.id !== configured)
  }

  /** What was sent is looked for, each record where it goes now: it was sent elsewhere if routes were others. */
  private beUnknown(wasElsewhere: boolean): void {
    if (wasElsewhere) {
      const text =
        'former routes may have sent some of it to other topics: it comes again as possible duplicates'
      this.parts.say('warn', text)
    }
    for (const topic of this.topics.values()) topic.beUnknown(wasElsewhere ? this.lostTo : 0)
  }

  private route(table: RouteTable): void {
    for (const name of topicsOf(table)) this.topicNamed(name)
    this.router = new Router(table, (name) => this.topicNamed(name))
  }

  private topicNamed(name: string): Topic {
    const known = this.topics.get(name)
    if (known !== undefined) return known
    const { backoff } = this.parts
    const topic = new Topic(
      name,
      (topicName, partition, from) => new Lane(topicName, partition, from, backoff(), this.memory),
    )
    this.topics.set(name, topic)
    return topic
  }

  /** The next table, once the feeder has come to where it begins and everything before is done with. */
  private async finishRoutes(saved: ShipState | undefined): Promise<boolean> {
    const { nextRoutes } = this
    if (nextRoutes === undefined || this.headOf() < nextRoutes.from) return false
    // Should the state be lost that has them in force, the one before has to tell that they may be.
    if (saved?.nextRoutes?.id !== nextRoutes.id) return false
    for (const { waitingFrom } of this.topics.values()) if (waitingFrom !== undefined) return false
    for (const lane of this.lanes()) if (!lane.isIdle || lane.unknownFrom !== undefined) return false
    this.routes = nextRoutes.id
    this.nextRoutes = undefined
    this.route(this.options.routes)
    for (const topic of this.topics.values()) topic.doneTo = Math.max(topic.doneTo, nextRoutes.from)
    this.parts.say('info', `the new routes count from offset ${nextRoutes.from} on`, {
      routes: tableId(this.options.routes),
    })
    await this.look()
    return true
  }

  private changeCluster(clusterId: string): void {
    this.parts.say(
      'warn',
      'it is another cluster, or it was wiped: what may be under way is looked for there',
      {
        was: this.clusterId,
        is: clusterId,
      },
    )
    this.producer = undefined
    for (const lane of this.lanes()) lane.forgetCluster()
  }

  private unusable(topic: Topic | undefined, cause: SinkCause): void {
    if (topic === undefined) return
    if (topic.cause?.code !== cause.code) this.parts.say('warn', `${topic.name}: ${cause.message}`)
    topic.cause = cause
  }
}

/** Stands for the id that a sink without exactly once does not use. */
const NOBODY: ProducerIdentity = { id: -1n, epoch: -1 }
