/**
 * Metrics for Prometheus. Everything is counted elsewhere already and only read here, when somebody scrapes: nothing is
 * done on a request's way. Tokens are credentials and never a label. docs/METRICS.md is generated from this file.
 */
import { collectDefaultMetrics, Counter, Gauge, Registry, type Metric } from 'prom-client'
import type { Damage, LogStatus } from './log/types.js'
import { ENDPOINTS } from './record.js'
import type { ShippingStatus } from './ship/shipping.js'
import type { StatusParts } from './status.js'

export interface Metrics {
  readonly contentType: string
  /** The Prometheus text. */
  text(): Promise<string>
}

/** Labels and value of one time series. */
type Sample = readonly [labels: Readonly<Record<string, string | number>>, value: number]
type Collect = (parts: StatusParts) => Iterable<Sample>

interface Declaration {
  readonly type: 'counter' | 'gauge'
  readonly name: string
  readonly help: string
  readonly labels: readonly string[]
  readonly collect: Collect
}

export function createMetrics(parts: StatusParts): Metrics {
  const registry = createRegistry(() => parts)
  collectDefaultMetrics({ register: registry })
  return { contentType: registry.contentType, text: () => registry.metrics() }
}

/** The program's own metrics; `parts` is asked at each scrape. */
export function createRegistry(parts: () => StatusParts): Registry {
  const registry = new Registry()
  for (const declaration of DECLARATIONS) register(declaration, registry, parts)
  registry.registerMetric(durations(parts) as unknown as Metric)
  return registry
}

function register(declaration: Declaration, registry: Registry, parts: () => StatusParts): void {
  const { type, name, help, labels, collect } = declaration
  const common = { name, help, labelNames: [...labels], registers: [registry] }
  if (type === 'gauge') {
    const gauge: Gauge = new Gauge({
      ...common,
      collect: () => {
        gauge.reset()
        for (const [values, value] of collect(parts())) gauge.set(values, value)
      },
    })
    return
  }
  const counter: Counter = new Counter({
    ...common,
    collect: () => {
      counter.reset()
      for (const [values, value] of collect(parts())) counter.inc(values, value)
    },
  })
}

const counter = (name: string, help: string, labels: readonly string[], collect: Collect): Declaration => {
  return { type: 'counter', name: `sluicegate_${name}`, help, labels, collect }
}
const gauge = (name: string, help: string, labels: readonly string[], collect: Collect): Declaration => {
  return { type: 'gauge', name: `sluicegate_${name}`, help, labels, collect }
}
const one = (value: number): Iterable<Sample> => [[{}, value]]

const OUTCOMES = ['accepted', 'rejected', 'ignored'] as const
const STATES = ['writable', 'full', 'failed', 'closed'] as const

function* records({ ledger }: StatusParts): Generator<Sample> {
  for (const kind of ENDPOINTS) {
    const counts = ledger.totalsOf(kind)
    for (const outcome of OUTCOMES) yield [{ kind, outcome }, counts[outcome]]
  }
}

function* requests({ counts }: StatusParts): Generator<Sample> {
  for (const { endpoint, status, count } of counts.requests()) yield [{ endpoint, status }, count]
}

/** One number of each of the two logs. */
function ofLogs(value: (status: LogStatus) => number): Collect {
  return ({ log, rejectsLog }) => [
    [{ log: 'events' }, value(log.status())],
    [{ log: 'rejects' }, value(rejectsLog.status())],
  ]
}

function* states({ log, rejectsLog }: StatusParts): Generator<Sample> {
  for (const [name, status] of [
    ['events', log.status()],
    ['rejects', rejectsLog.status()],
  ] as const) {
    for (const state of STATES) yield [{ log: name, state }, status.state === state ? 1 : 0]
  }
}

const damage = (kind: keyof Damage): Collect => ofLogs((status) => status.damage[kind])

const SHIP_STATES = ['starting', 'shipping', 'degraded', 'waiting', 'restarting', 'stopped'] as const

/** Nothing without `--kafka`. */
function ofShip(value: (status: ShippingStatus) => number): Collect {
  return ({ shipping }) => (shipping === undefined ? [] : one(value(shipping.status())))
}

function* shipStates({ shipping }: StatusParts): Generator<Sample> {
  if (shipping === undefined) return
  const status = shipping.status()
  for (const state of SHIP_STATES) yield [{ state }, status.state === state ? 1 : 0]
}

const blockedPartitions = ofShip(({ topics }) =>
  topics.reduce((sum, { blockedPartitions: blocked }) => sum + blocked, 0),
)

// A table: a line or two a metric.
// oxfmt-ignore
export const DECLARATIONS: readonly Declaration[] = [
  counter('records_total', 'Records in receipts issued since the start, by kind and outcome.', ['kind', 'outcome'], records),
  counter('records_unavailable_total', 'Records decoded and then answered 503; not among sluicegate_records_total.', [],
    ({ ledger }) => one(ledger.unavailable)),
  counter('http_requests_total', 'Requests answered on the ingest listener; endpoint other: everything beside the four.', ['endpoint', 'status'], requests),
  gauge('http_connections', 'Open connections on the ingest listener.', [], ({ counts }) => one(counts.connections)),
  gauge('http_connections_max', 'Limit of open connections (--connections-max).', [], ({ config }) => one(config.connectionsMax)),
  counter('http_connections_refused_total', 'Connections answered 503 at the limit.', [], ({ counts }) => one(counts.refusedConnections)),
  counter('http_connections_dropped_total', 'Connections closed unanswered: too many were being answered 503 already.', [], ({ counts }) => one(counts.droppedConnections)),
  gauge('requests_waiting', 'Requests that wait for room in the log.', [], ({ intake }) => one(intake.waiting)),

  gauge('memory_inflight_bytes', 'Memory taken by everything under way.', [], ({ budget }) => one(budget.usedBytes)),
  gauge('memory_inflight_bytes_max', 'Limit of that memory (--memory-inflight-bytes).', [], ({ budget }) => one(budget.bytesMax)),
  counter('memory_refusals_total', 'Times that something did not fit and was answered 503.', [], ({ budget }) => one(budget.refusals)),

  gauge('log_state', '1 for the state that a log is in, 0 for the others.', ['log', 'state'], states),
  gauge('log_bytes', 'Bytes that a log takes on disk, what is preallocated included.', ['log'], ofLogs((log) => log.bytes)),
  gauge('log_bytes_max', 'Bytes that a log may take.', ['log'], ofLogs((log) => log.bytesMax)),
  gauge('log_segments', 'Segment files of a log.', ['log'], ofLogs((log) => log.segments)),
  gauge('log_first_offset', 'Offset of the oldest record in a log.', ['log'], ofLogs((log) => log.firstOffset)),
  gauge('log_next_offset', 'Offset that the next record gets.', ['log'], ofLogs((log) => log.nextOffset)),
  gauge('log_durable_offset', 'Offset behind the last record on stable storage.', ['log'], ofLogs((log) => log.durableOffset)),
  gauge('log_epoch', 'Epoch of a log: grows at each start and each failed segment.', ['log'], ofLogs((log) => log.epoch)),
  counter('log_written_bytes_total', 'Bytes of records and frames written.', ['log'], ofLogs((log) => log.bytesWritten)),
  counter('log_batches_total', 'Batches written and synced.', ['log'], ofLogs((log) => log.batches)),
  counter('log_records_total', 'Records in those batches.', ['log'], ofLogs((log) => log.records)),
  counter('log_failovers_total', 'Segments given up after a failed write or sync.', ['log'], ofLogs((log) => log.failovers)),
  counter('log_dropped_records_total', 'Records that went with segments removed to make room or by age.', ['log'], ofLogs((log) => log.dropped)),
  counter('log_torn_bytes_total', 'Bytes of batches that the end of the last run cut off; never acknowledged.', ['log'], damage('tornBytes')),
  counter('log_quarantined_batches_total', 'Damaged batches set aside: somebody should look.', ['log'], damage('quarantinedBatches')),
  counter('log_quarantined_bytes_total', 'Damaged bytes set aside: somebody should look.', ['log'], damage('quarantinedBytes')),
  counter('log_quarantine_dropped_total', 'Torn ends, set aside after crashes, that went to keep quarantine/ under --quarantine-bytes-max.', ['log'], ofLogs((log) => log.quarantineDropped)),
  counter('log_new_ids_total', 'Times that the writer took a new id because a cursor was ahead of the log.', ['log'], ofLogs((log) => log.newIds)),
  counter('log_reopened_total', 'Times that a log was opened again because its files had been removed or replaced under the running server.', ['log'], ofLogs((log) => log.reopened)),

  counter('rejects_kept_total', 'Rejected records written to their log.', [], ({ rejects }) => one(rejects.kept)),
  counter('rejects_dropped_total', 'Rejected records beyond the rate, or that their log would not take: only counted.', [],
    ({ rejects }) => one(rejects.dropped)),

  gauge('ship_state', '1 for the state that shipping to Kafka is in, 0 for the others.', ['state'], shipStates),
  gauge('ship_lag_records', 'Records in the log that Kafka has not acknowledged.', [], ofShip((ship) => ship.lagRecords)),
  gauge('ship_lag_seconds', 'Age of the oldest of them.', [], ofShip((ship) => ship.lagMs / 1000)),
  gauge('ship_blocked_partitions', 'Partitions that do not get on; /status names their topics and why.', [], blockedPartitions),
  gauge('ship_cursor', 'Offset below which everything is done with: retention obeys it.', [], ofShip((ship) => ship.cursor)),
  gauge('ship_memory_bytes', 'Records in the memory of the shipper.', [], ofShip((ship) => ship.memoryBytes)),
  gauge('ship_waiting_requests', 'Requests that wait for Kafka (--ack kafka).', [], ofShip((ship) => ship.waiting)),
  counter('ship_late_requests_total', 'Requests answered 503 because Kafka took too long (--ack kafka).', [], ofShip((ship) => ship.late)),
  counter('ship_records_total', 'Records that Kafka has acknowledged; begins anew when shipping starts again.', [], ofShip((ship) => ship.records)),
  counter('ship_batches_total', 'Batches that Kafka has acknowledged.', [], ofShip((ship) => ship.batches)),
  counter('ship_failed_sends_total', 'Sends of a batch that were not acknowledged.', [], ofShip((ship) => ship.failed)),
  counter('ship_refused_records_total', 'Records that Kafka refuses for ever; they are among the rejected ones.', [], ofShip((ship) => ship.refused)),
  counter('ship_possible_duplicates_total', 'Records sent that may be there twice.', [], ofShip((ship) => ship.possibleDuplicates)),
  counter('ship_restarts_total', 'Times that shipping ended by itself and was started again.', [], ofShip((ship) => ship.restarts)),

  gauge('decoder_info', '1, with the decoder that serves as its label.', ['decoder'],
    ({ decoder }) => [[{ decoder: decoder.decoder.name }, 1]]),
  counter('decoder_panics_total', 'Panics of the native decoder that the reference decoder stepped in for.', [],
    ({ decoder }) => one(decoder.decoder.panics)),
  gauge('build_info', '1, with the version as its label.', ['version'], ({ version }) => [[{ version }, 1]]),
]

const DURATIONS = {
  name: 'sluicegate_http_request_duration_seconds',
  help: 'Time from the head of a request to its reply, on the ingest endpoints.',
  type: 'histogram',
  labelNames: ['le'],
}

/** prom-client's own histogram wants to be told of each request; ours are counted already. */
function durations(parts: () => StatusParts) {
  return { ...DURATIONS, get: async () => ({ ...DURATIONS, values: bucketsOf(parts().counts.durations()) }) }
}

/** `counts` has one number a bucket and a last one for what took longer. */
function bucketsOf({ bucketsMs, counts, sumMs }: ReturnType<StatusParts['counts']['durations']>) {
  const series = (suffix: string, value: number, labels = {}) => {
    return { metricName: `${DURATIONS.name}_${suffix}`, labels, value }
  }
  let total = 0
  const buckets = counts.map((count, index) => {
    total += count
    const bound = bucketsMs[index]
    return series('bucket', total, { le: bound === undefined ? '+Inf' : bound / 1000 })
  })
  return [...buckets, series('sum', sumMs / 1000), series('count', total)]
}
