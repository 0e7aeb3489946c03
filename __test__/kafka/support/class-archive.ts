/** An archive of the broker's classes (AppCDS), made once by a broker that starts and stops: others start in half the time. */
import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Broker } from './broker.js'
import type { Jars } from './jars.js'
import { freePorts } from './ports.js'
import { propertiesOf } from './properties.js'

const CLUSTER_ID = 'AAAAAAAAAAAAAAAAAAAAAQ'

/** Does nothing if it is there. Brokers run without it as well: what goes wrong here is left alone. */
export async function ensureClassArchive(jars: Jars): Promise<void> {
  if (existsSync(jars.classArchive)) return
  const directory = mkdtempSync(join(tmpdir(), 'sluicegate-kafka-classes-'))
  const temporary = `${jars.classArchive}.${process.pid}`
  try {
    const [clientPort = 0, internalPort = 0, controllerPort = 0] = await freePorts(3)
    const place = { id: 1, directory, clientPort, advertisedPort: clientPort, internalPort, controllerPort }
    const broker = new Broker(jars, place, propertiesOf(place, [place], 'PLAINTEXT', {}))
    await broker.format(CLUSTER_ID)
    broker.start([`-XX:ArchiveClassesAtExit=${temporary}`])
    await broker.started()
    await broker.stop()
    if (existsSync(temporary)) renameSync(temporary, jars.classArchive)
  } finally {
    rmSync(temporary, { force: true })
    rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
  }
}
