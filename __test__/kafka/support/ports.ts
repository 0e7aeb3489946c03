/** Ports for brokers, which must know theirs before they start and find them free when they start again. */
import { createServer } from 'node:net'

/** Below the range from which the system takes ports for outgoing connections: those would take a dead broker's. */
const FIRST = 15_000
const LAST = 32_000
const TRIES_MAX = 1000

/** Ports that nobody listens on, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const found = new Set<number>()
  for (let tries = 0; found.size < count; tries++) {
    if (tries > TRIES_MAX) throw new Error('there are no free ports')
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST))
    if (await isFree(port)) found.add(port)
  }
  return [...found]
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
