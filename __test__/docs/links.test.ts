/** Every link in the documents leads somewhere, and every section that code cites exists. */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { documents, filesOf, readDocument, ROOT, slug } from './markdown.js'

const docs = documents()

/** What is wrong with a relative link, undefined when it resolves. */
function broken(from: string, link: string): string | undefined {
  const [target = '', anchor] = link.split('#')
  const path = target === '' ? from : join(dirname(from), decodeURI(target))
  if (!existsSync(join(ROOT, path))) return `${from}: ${link}: no such file`
  if (anchor === undefined) return undefined
  if (!path.endsWith('.md') || statSync(join(ROOT, path)).isDirectory())
    return `${from}: ${link}: no anchors there`
  return readDocument(path).anchors.has(anchor) ? undefined : `${from}: ${link}: no such heading`
}

const isOutside = (link: string): boolean => /^[a-z]+:/.test(link)

describe('links in the documents', () => {
  it('there are documents', () => {
    expect(docs.map(({ path }) => path)).toEqual(
      expect.arrayContaining(['README.md', 'ARCHITECTURE.md', 'docs/PROTOCOL.md']),
    )
  })

  it.each(docs)('$path: every relative link and anchor resolves', ({ path, links }) => {
    expect(links.filter((link) => !isOutside(link)).flatMap((link) => broken(path, link) ?? [])).toEqual([])
  })

  it('a link into nowhere is found', () => {
    expect(broken('README.md', 'docs/nowhere.md')).toContain('no such file')
    expect(broken('README.md', 'docs/PROTOCOL.md#nowhere')).toContain('no such heading')
    expect(broken('docs/PROTOCOL.md', '#r1')).toBeUndefined()
    expect(slug('4.1 `Body`, and *so* on')).toBe('41-body-and-so-on')
  })
})

const CITED = /docs\/([A-Z_]+\.md),? (?:section )?(\d+(?:\.\d+)?)(?![\d.]*\d)/g
const CODE = /\.(ts|mts|mjs|rs|json)$/

/** The numbers that a document's headings begin with. */
function sections(path: string): Set<string> {
  const headings = readFileSync(join(ROOT, path), 'utf8').matchAll(/^#{2,4} (\d+(?:\.\d+)?)\.? /gm)
  return new Set([...headings].map(([, number]) => number!))
}

function citations(path: string): { document: string; section: string }[] {
  const text = readFileSync(join(ROOT, path), 'utf8')
  return [...text.matchAll(CITED)].map(([, document, section]) => ({
    document: `docs/${document!}`,
    section: section!,
  }))
}

it('every section that code cites exists', () => {
  const cited = ['src', 'native', 'scripts', '__test__', 'bench'].flatMap((directory) =>
    filesOf(directory, CODE).flatMap((path) => citations(path).map((citation) => ({ path, ...citation }))),
  )
  expect(cited.length).toBeGreaterThan(5)
  const missing = cited.filter(({ document, section }) => !sections(document).has(section))
  expect(missing).toEqual([])
})
