/** The documents as the tests see them: text, headings, links, code. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const SKIPPED = new Set(['node_modules', 'target', 'dist', 'coverage', 'sluicegate-data'])

/** Files below `directory` (relative to the root) whose name matches, without what is built or installed. */
export function filesOf(directory: string, name: RegExp): string[] {
  return readdirSync(join(ROOT, directory), { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name)
    if (entry.isDirectory())
      return SKIPPED.has(entry.name) || entry.name.startsWith('.') ? [] : filesOf(path, name)
    return name.test(entry.name) ? [relative(ROOT, join(ROOT, path))] : []
  })
}

export interface CodeBlock {
  readonly language: string
  readonly text: string
  /** The heading it stands under. */
  readonly heading: string
}

export interface Document {
  readonly path: string
  readonly anchors: ReadonlySet<string>
  readonly links: readonly string[]
  readonly blocks: readonly CodeBlock[]
  /** Inline code. */
  readonly spans: readonly string[]
}

/** A heading's anchor as GitHub makes it. */
export function slug(heading: string): string {
  const text = heading.replaceAll(/<[^>]*>|`/g, '').replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
  return text
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(/\s/g, '-')
}

function numbered(anchors: Set<string>, anchor: string): string {
  if (!anchors.has(anchor)) return anchor
  for (let i = 1; ; i++) if (!anchors.has(`${anchor}-${i}`)) return `${anchor}-${i}`
}

const FENCE = /^\s*(```+|~~~+)\s*([\w-]*)/
const LINK = /!?\[(?:[^\]\\]|\\.)*\]\(([^()\s]+)(?:\s+"[^"]*")?\)/g
const SPAN = /(`+)(.+?)\1(?!`)/g

export function readDocument(path: string): Document {
  const anchors = new Set<string>()
  const links: string[] = []
  const spans: string[] = []
  const blocks: CodeBlock[] = []
  let heading = ''
  let fence: { mark: string; language: string; lines: string[] } | undefined
  for (const line of readFileSync(join(ROOT, path), 'utf8').split('\n')) {
    const mark = FENCE.exec(line)
    if (fence !== undefined) {
      if (mark?.[1] !== fence.mark) fence.lines.push(line)
      else {
        blocks.push({ language: fence.language, text: fence.lines.join('\n'), heading })
        fence = undefined
      }
      continue
    }
    if (mark !== null) {
      fence = { mark: mark[1]!, language: mark[2]!, lines: [] }
      continue
    }
    const title = /^#{1,6}\s+(.*?)\s*#*$/.exec(line)
    if (title !== null) {
      heading = title[1]!
      anchors.add(numbered(anchors, slug(heading)))
    }
    for (const [, id] of line.matchAll(/<a (?:id|name)="([^"]+)"/g)) anchors.add(id!)
    const prose = line.replaceAll(SPAN, (_, _mark, code: string) => (spans.push(code), '`code`'))
    for (const [, target] of prose.matchAll(LINK)) links.push(target!)
  }
  return { path, anchors, links, blocks, spans }
}

export const documents = (): Document[] => filesOf('.', /\.md$/).map((path) => readDocument(path))
