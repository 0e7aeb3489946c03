/** `sluicegate doctor`: looks at everything an operator would, beside a live server too; only reads. */
import type { Command } from 'commander'
import { KEYS } from '../config/schema.js'
import { addHiddenSettings, addSettings, command, configOf } from './command.js'
import { configurationFindings, programFindings } from './doctor/program.js'
import { kafkaFindings } from './doctor/kafka.js'
import { exitsWithFault, type Finding } from './doctor/finding.js'
import { serverFindings } from './doctor/server.js'
import { dataDirectoryFindings } from './doctor/storage.js'
import { writerFindings } from './doctor/writer.js'
import { isDirectory, writersIn } from './directory.js'

const SHOWN_KEYS = ['dataDir', 'writer', 'decoder'] as const
const NOTES = `Takes every setting of "serve", so that it judges what that would do.

Exit code 1 when something needs a hand; those lines begin with FAULT.`

export function doctorCommand(): Command {
  const made = command(
    'doctor',
    'Checks decoder, configuration, disk, logs, server and Kafka. Only reads.',
    NOTES,
  ).option('--json', 'print the findings as JSON')
  addSettings(made, SHOWN_KEYS)
  return addHiddenSettings(made, KEYS).action((flags: Record<string, unknown>) => doctorAction(flags))
}

async function doctorAction(flags: Record<string, unknown>): Promise<void> {
  const loaded = configOf(flags)
  const { dataDir } = loaded.config
  const findings = [
    ...programFindings(loaded.config),
    ...configurationFindings(loaded),
    ...dataDirectoryFindings(dataDir),
  ]
  for (const writer of isDirectory(dataDir) ? writersIn(dataDir) : []) {
    const { findings: own, owner } = await writerFindings(dataDir, writer)
    findings.push(...own)
    if (owner?.ops) findings.push(...(await serverFindings(`server of writer ${writer}`, owner.ops)))
  }
  if (loaded.config.kafka.length > 0) findings.push(...(await kafkaFindings(loaded.config)))
  const text = flags['json'] === true ? asJson(findings) : asText(findings)
  process.stdout.write(text)
  if (exitsWithFault(findings)) process.exitCode = 1
}

function asJson(findings: readonly Finding[]): string {
  return `${JSON.stringify({ ok: !exitsWithFault(findings), findings }, null, 2)}\n`
}

function asText(findings: readonly Finding[]): string {
  let section = ''
  let text = ''
  for (const finding of findings) {
    if (finding.section !== section) text += `${section === '' ? '' : '\n'}${finding.section}\n`
    section = finding.section
    const grade = finding.grade === 'fault' ? 'FAULT' : finding.grade
    text += `  ${grade.padEnd(6)}${finding.text}\n`
  }
  const faults = findings.filter(({ grade }) => grade === 'fault').length
  const verdict = faults === 0 ? 'Nothing needs a hand.' : `${faults} of these need a hand.`
  return `${text}\n${verdict}\n`
}
