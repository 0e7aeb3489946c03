/** One writer's folder: its owner, logs, cursors, and what recovery set aside. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Cursors } from '../../log/cursor.js'
import { inspectLog } from '../../log/inspect.js'
import { extentOf, ownerOf, writerDirectory, type Owner, type WriterDirectory } from '../directory.js'
import { shownBytes } from '../output.js'
import { findingsOf, messageOf, type Finding } from './finding.js'

type Found = ReturnType<typeof findingsOf>

export async function writerFindings(
  dataDir: string,
  name: string,
): Promise<{ findings: readonly Finding[]; owner: Owner | undefined }> {
  const directory = writerDirectory(dataDir, name)
  const found = findingsOf(`writer ${name}`)
  const findings: Finding[] = []
  let owner: Owner | undefined
  try {
    owner = await ownerOf(directory)
    findings.push(ownerFinding(owner, found))
  } catch (error) {
    findings.push(found('fault', messageOf(error)))
  }
  for (const which of ['log', 'rejects'] as const) {
    findings.push(...(await guarded(found, () => logFindings(directory, which, owner, found))))
  }
  findings.push(...(await guarded(found, () => cursorFindings(directory, owner, found))))
  findings.push(...quarantineFindings(join(directory.path, 'quarantine'), found))
  return { findings, owner }
}

/** What cannot be read is itself a finding: the rest is looked at all the same. */
async function guarded(found: Found, look: () => Promise<readonly Finding[]>): Promise<readonly Finding[]> {
  try {
    return await look()
  } catch (error) {
    return [found('fault', messageOf(error))]
  }
}

function ownerFinding(owner: Owner | undefined, found: Found): Finding {
  if (owner === undefined) return found('note', 'no server runs on it now')
  const ops = owner.ops === null ? 'it is not ready yet' : `ops listener ${owner.ops}`
  return found('ok', `process ${owner.pid} owns it, ${ops}`)
}

async function logFindings(
  directory: WriterDirectory,
  which: 'log' | 'rejects',
  owner: Owner | undefined,
  found: Found,
): Promise<readonly Finding[]> {
  const { segments, bytes } = await inspectLog(directory[which])
  const { firstOffset, endOffset } = await extentOf(directory, which, owner)
  const held = endOffset - firstOffset
  const noun = held === 1 ? 'record' : 'records'
  const records = held === 0 ? 'no records' : `${held} ${noun}, ${firstOffset} to ${endOffset - 1}`
  const files = segments.length === 1 ? '1 segment' : `${segments.length} segments`
  return [found('ok', `${which}: ${records}; ${shownBytes(bytes)} in ${files}`)]
}

async function cursorFindings(
  directory: WriterDirectory,
  owner: Owner | undefined,
  found: Found,
): Promise<readonly Finding[]> {
  const { firstOffset, endOffset } = await extentOf(directory, 'log', owner)
  const cursors = await new Cursors(directory.path).list()
  return cursors.map(({ name, offset }) => {
    if (offset > endOffset) {
      return found(
        'fault',
        `cursor ${name} is at ${offset}, beyond the log's end ${endOffset}: was it restored?`,
      )
    }
    if (offset < firstOffset) {
      return found(
        'note',
        `cursor ${name} is at ${offset}: ${firstOffset - offset} records before the log are gone`,
      )
    }
    return found('ok', `cursor ${name} is at ${offset}, ${endOffset - offset} behind`)
  })
}

/** Torn tails are no fault: a crash makes them, and they were never acknowledged. */
const TORN = /\.torn(\.\d+)?$/

function quarantineFindings(path: string, found: Found): readonly Finding[] {
  let names: readonly string[]
  try {
    names = readdirSync(path)
  } catch {
    return []
  }
  const sum = (chosen: readonly string[]): string =>
    shownBytes(chosen.reduce((bytes, name) => bytes + statSync(join(path, name)).size, 0))
  const torn = names.filter((name) => TORN.test(name))
  const damaged = names.filter((name) => !TORN.test(name))
  const files = (chosen: readonly string[]): string =>
    `${path} holds ${chosen.length} ${chosen.length === 1 ? 'file' : 'files'} (${sum(chosen)})`
  return [
    ...(torn.length > 0 ? [found('note', `${files(torn)} cut off by crashes; never acknowledged`)] : []),
    ...(damaged.length > 0
      ? [found('fault', `${files(damaged)} of damaged records: check the disk, then move them away`)]
      : []),
  ]
}
