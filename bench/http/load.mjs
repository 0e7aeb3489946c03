// Puts load on a server, from the core of the load: by wrk, or by a load generator of our own (client.mjs).
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Histogram } from './histogram.mjs'
import { hasWrk, runWrk } from './wrk.mjs'

const CLIENT = fileURLToPath(new URL('client.mjs', import.meta.url))

async function runClient(cpu, options) {
  const child = spawn('taskset', ['-c', String(cpu), process.execPath, CLIENT, JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (chunk) => (output += chunk))
  const code = await new Promise((resolve, reject) => child.on('error', reject).on('close', resolve))
  if (code !== 0) throw new Error(`the load generator ended with code ${code}`)
  const figures = JSON.parse(output)
  if (figures.errors > 0) throw new Error(`the load generator saw ${figures.errors} errors`)
  return figures
}

function merged(lists) {
  const histogram = new Histogram()
  for (const list of lists) histogram.add(list ?? [])
  return histogram
}

/**
 * One process of the load generator for each file of requests, all at the same time.
 *
 * @param {{port: number, connections: number, seconds: number, files: string[], cpu: number, windowMs?: number, rate?: number}} load
 *   connections and rate of each process
 * @returns {Promise<object>} requests, duration and latencies in microseconds, `curve` of percentiles, `series` of windows
 */
export async function runLoad({ cpu, files, windowMs = 250, ...load }) {
  const parts = await Promise.all(files.map((file) => runClient(cpu, { ...load, file, windowMs })))
  const all = merged(parts.map((part) => part.all))
  const series = Array.from({ length: Math.floor((load.seconds * 1000) / windowMs) }, (_, index) => {
    const window = merged(parts.map(({ windows }) => windows[index]))
    return { at_ms: index * windowMs, requests: window.total, ...window.percentiles() }
  })
  return {
    requests: all.total,
    unanswered: parts.reduce((sum, part) => sum + part.unanswered, 0),
    duration_us: Math.max(...parts.map((part) => part.duration_us)),
    ...all.percentiles(),
    curve: all.curve(),
    series,
  }
}

const isWrkThere = hasWrk()

/** A closed loop at full load: by wrk where it is installed. */
export function fullLoad({ file, ...load }) {
  return isWrkThere ? runWrk({ file, ...load }) : runLoad({ files: [file], ...load })
}
