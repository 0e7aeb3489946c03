// docs/BENCHMARKS.md out of a record.
import { floors } from './floors.mjs'
import { markdown, tables, targetTable } from './tables.mjs'

const GIB = 2 ** 30

const ALT = {
  'requests-over-time.svg': 'Requests per second over time',
  'latency-over-time.svg': 'Round trips over time',
  'latency-percentiles.svg': 'Latency percentiles',
  'cost-by-event-size.svg': 'Cost by event size',
  'cost-by-batch-size.svg': 'Cost by batch size',
}

function conditions({ date, machine, versions, settings }, recordPath) {
  const { cpu, cores, memory_bytes, kernel, load_average_before } = machine
  return [
    `Made by \`npm run bench\` on ${date.slice(0, 10)} at ${date.slice(11, 16)} UTC, out of [this record](../${recordPath}); written by bench/report, not by hand.`,
    '',
    `* **Machine:** ${cpu}, ${cores} virtual cores, ${Math.round(memory_bytes / GIB)} GiB, Linux ${kernel}; load average before the run ${load_average_before.join(', ')}.`,
    `* **Versions:** sluicegate ${versions.sluicegate} (commit ${versions.commit.slice(0, 10)}${versions.changed_files > 0 ? `, ${versions.changed_files} files changed` : ''}), Node.js ${versions.node}, Fastify ${versions.fastify}, ${versions.wrk ?? 'no wrk (the load generator of the project instead)'}, ${versions.rustc ?? 'no Rust'}, ${versions.python ?? 'no Python'}, Erlang/OTP ${versions.erlang ?? 'absent'}, kafkajs ${versions.kafkajs}.`,
    `* **Method:** the server pinned to core ${settings.cores.server}, the load to core ${settings.cores.load}; all contenders in turns, ${settings.rounds} rounds of ${settings.seconds} s each, medians of the rounds; ratios are medians of the rounds' own ratios. Before anything is timed, all contenders give the same answers, and those that store have stored the same records. CPU time is the kernel's (\`/proc/PID/task/*/schedstat\`).`,
    '* **Read it so:** absolute figures are of this machine and of that day; ratios within this run are what can be compared. [bench/README.md](../bench/README.md) says how each figure is made.',
  ]
}

/**
 * @param {object} record
 * @param {string[]} pictureNames files in docs/benchmarks
 * @param {string} recordPath from the repository's root
 */
export function document(record, pictureNames, recordPath) {
  const sections = tables(record).flatMap((table) => ['', `### ${table.title}`, '', markdown(table)])
  const images = pictureNames.flatMap((name) => ['', `![${ALT[name]}](benchmarks/${name})`])
  const lines = [
    '# Benchmarks',
    '',
    ...conditions(record, recordPath),
    '',
    '## Targets',
    '',
    markdown(targetTable(record.targets)),
    '',
    'Figures in bold are beyond their limit. What stands in the way, in figures of the same run:',
    '',
    ...floors(record).map(({ name, text }) => `* **${name}:** ${text}`),
    '',
    '## Pictures',
    ...images,
    '',
    '## Tables',
    ...sections,
    '',
    ...steadyText(record),
  ]
  return `${lines
    .join('\n')
    .replace(/\n{3,}/g, '\n\n')
    .trim()}\n`
}

/** README's first screen: between marks that stand in it. */
export function readmePart(record) {
  const { date, machine, versions } = record
  const faster = (name) => {
    const found = record.decoders.find((one) => one.name === name)
    return found === undefined ? '' : `${found.ratio.toFixed(1)}x`
  }
  const row = (title, one, many) =>
    `| ${title} | ${faster(one)} | ${many === undefined ? '' : faster(many)} |`
  return [
    `How much faster the native decoder is than the fastest JavaScript we could write for the same bytes (${machine.cpu}, ${machine.cores} virtual cores, Node ${versions.node.slice(1)}, ${date.slice(0, 10)}):`,
    '',
    '| 400-byte events | one | batch of 50 |',
    '|---|---|---|',
    row('JSON', 'JSON body', 'JSON body, 50 events'),
    row('base64 form', 'base64 form', 'base64 form, 50 events'),
    row('GET', 'base64 GET'),
    '',
    'The story that this continues ended with two graphs; here they are again, an access log replayed by four clients with 25 connections each, every server on one core:',
    '',
    ...Object.entries(ALT)
      .slice(0, 2)
      .map(([name, alt]) => `![${alt}](docs/benchmarks/${name})`),
    '',
    '`npm run bench` makes all of it on your machine; [docs/BENCHMARKS.md](docs/BENCHMARKS.md) has every figure, the rivals, and what falls short of its target.',
  ].join('\n')
}

const mib = (bytes) => (bytes / 2 ** 20).toFixed(1)

function steadyText({ steady }) {
  if (steady === undefined) return []
  return [
    '### Memory',
    '',
    `${steady.rate} requests a second${(steady.windows ?? 1) > 1 ? `, ${steady.windows} times` : ''} for ${steady.seconds} s: heap after a full collection ` +
      `${mib(steady.heap_before_bytes)} MiB before and ${mib(steady.heap_after_bytes)} MiB after, resident ` +
      `${mib(steady.rss_max_bytes)} MiB at most, ${(steady.gc_share * 100).toFixed(2)} % of the time in garbage ` +
      `collection (${(steady.gc_share_full_load * 100).toFixed(2)} % at full load).`,
  ]
}
