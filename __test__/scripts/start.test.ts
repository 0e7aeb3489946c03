/** `npm start` with a shell that knows `exec` and with the one of Windows, which does not. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

const read = (name: string): string => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8')

it('begins with a word that Unix shells know, and that the shell of Windows finds beside package.json', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  const [word, ...command] = scripts['start']!.split(' ')
  // Debian's /bin/sh stays between npm and the server without it, and dies of a SIGTERM alone (e2e/npm-start.test.ts).
  expect(word).toBe('exec')
  expect(command).toEqual(['node', 'scripts/start.mjs'])
  const lines = read(`${word}.cmd`).split('\r\n')
  expect(lines.pop()).toBe('')
  expect(lines.pop(), 'runs what follows').toBe('@%*')
  expect(
    lines.every((line) => line.startsWith('@rem ')),
    'prints nothing',
  ).toBe(true)
})
