/** server.properties of one broker of a cluster. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { BROKER_FILES } from './jars.js'

export interface BrokerPlace {
  readonly id: number
  readonly directory: string
  /** What the product connects to. */
  readonly clientPort: number
  /** Told to clients instead of `clientPort`: that of a proxy before it. */
  readonly advertisedPort: number
  /** For the other brokers, and for the tests' own tools: plain, and always direct. */
  readonly internalPort: number
  readonly controllerPort: number
}

export type Properties = Readonly<Record<string, string | number>>
export type ClientProtocol = 'PLAINTEXT' | 'SSL' | 'SASL_PLAINTEXT' | 'SASL_SSL'

const HOST = '127.0.0.1'

/** @param own wins over everything else */
export function propertiesOf(
  place: BrokerPlace,
  all: readonly BrokerPlace[],
  protocol: ClientProtocol,
  own: Properties,
): string {
  const common = readFileSync(join(BROKER_FILES, 'server.properties'), 'utf8')
  const lines = Object.entries({ ...placed(place, all, protocol), ...replicated(all.length), ...own })
  return `${common}${lines.map(([name, value]) => `${name}=${value}\n`).join('')}`
}

function placed(place: BrokerPlace, all: readonly BrokerPlace[], protocol: ClientProtocol): Properties {
  const { id, clientPort, advertisedPort, internalPort, controllerPort, directory } = place
  const internal = `INTERNAL://${HOST}:${internalPort}`
  return {
    'node.id': id,
    'log.dirs': join(directory, 'data'),
    listeners: `CLIENT://${HOST}:${clientPort},${internal},CONTROLLER://${HOST}:${controllerPort}`,
    'advertised.listeners': `CLIENT://${HOST}:${advertisedPort},${internal}`,
    'listener.security.protocol.map': `CLIENT:${protocol},INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT`,
    'controller.quorum.voters': all.map((one) => `${one.id}@${HOST}:${one.controllerPort}`).join(','),
  }
}

function replicated(brokers: number): Properties {
  const minInsync = brokers > 1 ? 2 : 1
  return {
    'default.replication.factor': brokers,
    'min.insync.replicas': minInsync,
    'offsets.topic.replication.factor': brokers,
    'transaction.state.log.replication.factor': brokers,
    'transaction.state.log.min.isr': minInsync,
  }
}
