// The server with its log beside a Fastify that does nothing: the benchmark's own contenders, for a few seconds.
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { contender } from '../http/contenders.mjs'
import { interleave } from '../http/measure.mjs'
import { SHAPES } from '../http/requests.mjs'
import { startServers } from '../http/servers.mjs'
import { least, ratio } from '../report/statistics.mjs'

const ROUNDS = { rounds: 5, seconds: 1 }
const NAMES = ['sluicegate', 'fastify-tuned']

/**
 * What disturbs one side alone spoils one of the two: on a busy machine the better one is believed.
 *
 * @returns {Promise<number>} main-thread CPU a request of a single form, ours of the no-op's: the median of the rounds' own
 *   ratios, or that of the minima
 */
export async function measureRatio() {
  const directory = mkdtempSync(join(tmpdir(), 'sluicegate-gate-'))
  const bench = {
    cores: { server: 0, load: Math.min(1, cpus().length - 1) },
    nowS: Math.floor(Date.now() / 1000),
    directory,
    files: new Set(),
    progress: () => {},
    say: console.log,
  }
  const { started, stop } = await startServers(bench, NAMES.map(contender), SHAPES)
  try {
    const cells = started.map((one) => ({ ...one, shape: SHAPES[0], connections: 64 }))
    const [ours, noOp] = await interleave(bench, 'gate', cells, ROUNDS)
    return Math.min(ratio(ours, noOp, 'main_us'), least(ours, 'main_us') / least(noOp, 'main_us'))
  } finally {
    await stop()
    rmSync(directory, { recursive: true, force: true })
  }
}
