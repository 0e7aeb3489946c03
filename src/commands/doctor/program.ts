/** What this installation would do: decoder, Node, limits of the process, configuration in force. */
import { readFileSync } from 'node:fs'
import type { Config, LoadedConfig } from '../../config.js'
import { flagName, settingOf } from '../../config/schema.js'
import { selectDecoder } from '../../decode/select.js'
import { packageVersion } from '../../version.js'
import { decoderOptions } from '../../decoder-options.js'
import { findingsOf, messageOf, type Finding } from './finding.js'

const NODE_MIN = [20, 17] as const
/** File descriptors beside those of connections: segments, listeners, timers, stdio. */
const OTHER_FILES = 100

export function programFindings(config: Config): readonly Finding[] {
  return [versionFinding(), decoderFinding(config), ...openFilesFinding(config)]
}

const program = findingsOf('program')

function versionFinding(): Finding {
  const text = `sluicegate ${packageVersion()} on Node ${process.versions.node}, ${process.platform} ${process.arch}`
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const tooOld = major < NODE_MIN[0] || (major === NODE_MIN[0] && minor < NODE_MIN[1])
  return tooOld ? program('fault', `${text}; needs Node ${NODE_MIN.join('.')}`) : program('ok', text)
}

function decoderFinding(config: Config): Finding {
  try {
    const { decoder, reason } = selectDecoder(config.decoder, decoderOptions(config))
    const slow = config.decoder === 'auto' && decoder.name === 'reference'
    return program(slow ? 'note' : 'ok', `decoder: ${decoder.name}. ${reason}`)
  } catch (error) {
    return program('fault', `decoder: --decoder ${config.decoder} cannot be had: ${messageOf(error)}`)
  }
}

/** As far as this process' own limit tells; a service manager may set another. */
function openFilesFinding({ connectionsMax }: Config): readonly Finding[] {
  let limits: string
  try {
    limits = readFileSync('/proc/self/limits', 'latin1')
  } catch {
    return []
  }
  // Node raises the soft limit to the hard one when it starts.
  const files = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? Infinity)
  if (files >= connectionsMax + OTHER_FILES) return []
  return [
    program('note', `only ${files} files may be open, fewer than --connections-max ${connectionsMax} needs`),
  ]
}

/** Values that are not at their default, with where they come from. */
export function configurationFindings({ sources, config, warnings }: LoadedConfig): readonly Finding[] {
  const found = findingsOf('configuration')
  const findings = [...sources].map(([key, { origin }]) => {
    const { kind, secret } = settingOf(key)
    const value = secret === true ? '***' : kind.show(config[key])
    return found('ok', `${flagName(key)} = ${value}, from ${origin}`)
  })
  const none = findings.length === 0 ? [found('ok', 'everything is at its default')] : []
  return [...none, ...findings, ...warnings.map((warning) => found('note', warning))]
}
