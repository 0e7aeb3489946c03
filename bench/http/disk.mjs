// What one durable write costs by itself, from Node, on this disk: the least that a log batch can take.
//
//   node bench/http/disk.mjs '{"directory","bytes","batches"}'
//
// As the log does it: as whole blocks, behind each other in a file of zeroes, one batch at a time. Prints one line of JSON.
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { memoryOfBlocks } from '../../dist/log/block-memory.js'
import { nodeDisk } from '../../dist/log/node-disk.js'

const { directory, bytes, batches } = JSON.parse(process.argv[2])
/** CPU times are read once in so many batches: the kernel counts a running thread's only now and then. */
const GROUP = 20

const path = join(directory, 'disk')
const file = await nodeDisk.open(path, 'wx+')
const batch = memoryOfBlocks(bytes)
for (let index = 0; index < batches; index++) await file.writeBlocks(batch, index * bytes)
batch.fill('x'.charCodeAt(0))

const mainNs = () => Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ', 1)[0])
const processUs = () => {
  const { user, system } = process.cpuUsage()
  return user + system
}

const latencies = []
const groups = []
for (let at = 0; at + GROUP <= batches; at += GROUP) {
  const [main, all] = [mainNs(), processUs()]
  for (let index = at; index < at + GROUP; index++) {
    const startMs = performance.now()
    await file.writeBlocks(batch, index * bytes)
    latencies.push((performance.now() - startMs) * 1000)
  }
  groups.push({ main_us: (mainNs() - main) / 1000 / GROUP, process_us: (processUs() - all) / GROUP })
}
await file.close()
rmSync(path)

const at = (list, share) => list.toSorted((one, other) => one - other)[Math.floor((list.length - 1) * share)]
const rounded = (value) => Number(value.toFixed(1))
const of = (name) =>
  rounded(
    at(
      groups.map((group) => group[name]),
      0.5,
    ),
  )
const figures = {
  bytes,
  main_us: of('main_us'),
  process_us: of('process_us'),
  p50_us: rounded(at(latencies, 0.5)),
  p99_us: rounded(at(latencies, 0.99)),
}
process.stdout.write(`${JSON.stringify(figures)}\n`)
