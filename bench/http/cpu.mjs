// CPU time and memory of a process, as the kernel counts them (Linux).
import { readdirSync, readFileSync } from 'node:fs'

/** Nanoseconds on a CPU since the start, user and system together. */
const ranNs = (path) => Number(readFileSync(path, 'utf8').split(' ', 1)[0])

/** @returns {{mainNs: number, processNs: number}} of the first thread, and of all that live */
export function cpuOf(pid) {
  const mainNs = ranNs(`/proc/${pid}/task/${pid}/schedstat`)
  let processNs = 0
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      processNs += ranNs(`/proc/${pid}/task/${thread}/schedstat`)
    } catch {
      // A thread that has just ended; pools that matter here do not end theirs.
    }
  }
  return { mainNs, processNs }
}

/** Resident memory in bytes. */
export function rssOf(pid) {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(kilobytes) * 1024
}
