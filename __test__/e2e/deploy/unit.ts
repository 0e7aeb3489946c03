/** What the systemd units say. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CLI, ROOT } from '../support/server.js'

export const UNITS = ['sluicegate.service', 'sluicegate@.service'] as const
export type Unit = (typeof UNITS)[number]

export const unitPath = (unit: Unit): string => join(ROOT, 'deploy/systemd', unit)

/** Every value of a setting of the unit, in order. */
export function unitValues(unit: Unit, name: string): string[] {
  return readFileSync(unitPath(unit), 'utf8')
    .split('\n')
    .flatMap((line) => (line.startsWith(`${name}=`) ? [line.slice(name.length + 1)] : []))
}

/** Where the units expect them, and where they are here. */
const PATHS = new Map([
  ['/usr/bin/node', process.execPath],
  ['/opt/sluicegate/node_modules/sluicegate/dist/cli.js', CLI],
])

/**
 * `ExecStart`, with the program of this checkout.
 *
 * @param instance what stands for `%i`
 */
export function unitCommand(unit: Unit, instance = ''): string[] {
  const [line = ''] = unitValues(unit, 'ExecStart')
  const words = line.replaceAll('%i', instance).split(' ')
  for (const path of PATHS.keys()) {
    if (!words.includes(path)) throw new Error(`${unit} does not start ${path}`)
  }
  return words.map((word) => PATHS.get(word) ?? word)
}
