// What a new version changes in files, as texts in and out.

/** Where the version stands, file by file; throws when it stands nowhere. */
const PLACES = {
  'package.json': (before) => [`"version": "${before}"`],
  'package-lock.json': (before) => [
    `"name": "sluicegate",\n  "version": "${before}"`,
    `"name": "sluicegate",\n      "version": "${before}"`,
  ],
  'Cargo.toml': (before) => [`[workspace.package]\nversion = "${before}"`],
  'Cargo.lock': (before) =>
    ['addon', 'core'].map((crate) => `name = "sluicegate-${crate}"\nversion = "${before}"`),
  // @napi-rs/cli writes it into the loader; the next build writes the same.
  'native/index.js': (before) => [`!== '${before}'`, `expected ${before} but`],
}

export function replaceVersion(path, text, before, version) {
  return PLACES[path](before).reduce((changed, place) => {
    if (!changed.includes(place)) throw new Error(`${path} does not have ${JSON.stringify(place)}`)
    return changed.replaceAll(place, place.replace(before, version))
  }, text)
}

/**
 * What is unreleased becomes the new version's, dated. A section that waits for its date ("- unreleased") takes it.
 *
 * @throws when there is nothing to release
 */
export function changelogFor(text, version, date) {
  const waiting = `## [${version}] - unreleased`
  if (text.includes(waiting)) return text.replace(waiting, `## [${version}] - ${date}`)
  const dated = text.replace('## [Unreleased]\n', `## [Unreleased]\n\n## [${version}] - ${date}\n`)
  if (sectionOf(dated, version) === '') throw new Error('CHANGELOG.md has nothing under [Unreleased]')
  return dated
}

/** What stands under a version's heading. */
export function sectionOf(text, version) {
  const start = text.indexOf(`## [${version}]`)
  if (start < 0) return ''
  const body = text.slice(text.indexOf('\n', start))
  const end = body.search(/^## \[/m)
  return (end < 0 ? body : body.slice(0, end)).trim()
}
