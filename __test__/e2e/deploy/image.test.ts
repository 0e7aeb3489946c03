/** The container image, as far as it can be proven where no container engine is: deploy/docker. */
import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, readdirSync, rmSync, symlinkSync, chownSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { exchange } from '../../support/http.js'
import { describeWith } from '../../support/require.js'
import { event, postJson } from '../support/events.js'
import { dependencies } from '../support/installed.js'
import { inTime, launch, ROOT, startServer, workspace } from '../support/server.js'
import { tail } from '../support/tail.js'
import { copyContext, copyLastStage, imageSettings } from './image.js'

const image = imageSettings()

/** Compiles the context as the build stage does, and lays out the last stage; the addon is the one built here. */
function layOut(directory: string): string {
  const [build, root] = [join(directory, 'build'), join(directory, 'image')]
  copyContext(build)
  symlinkSync(join(ROOT, 'node_modules'), join(build, 'node_modules'))
  execFileSync('npm', ['run', '--silent', 'build:ts'], { cwd: build, stdio: 'pipe' })
  rmSync(join(build, 'node_modules'))
  for (const path of dependencies()) cpSync(join(ROOT, path), join(build, path), { recursive: true })
  for (const name of readdirSync(join(ROOT, 'native')).filter((file) => file.endsWith('.node'))) {
    cpSync(join(ROOT, 'native', name), join(build, 'native', name))
  }
  copyLastStage(build, root)
  return root
}

/** Puts the command that follows into a mount namespace in which `directory` alone can be written. */
const readOnlyExcept = (directory: string): string[] => [
  'unshare',
  '-m',
  'sh',
  '-ec',
  `mount --bind "$0" "$0"
   mount -o remount,bind,ro /
   if touch /sluicegate-read-only 2>/dev/null; then echo 'the root is writable' >&2; exit 1; fi
   exec setpriv --reuid ${image.uid} --regid ${image.uid} --clear-groups --no-new-privs "$@"`,
  directory,
]

describe('the Dockerfile', () => {
  it('runs as a user that is not root, on every address of the container, with the data in the volume', () => {
    expect(image.uid).toBeGreaterThan(0)
    expect(image.env).toMatchObject({ SLUICEGATE_HOST: '0.0.0.0', SLUICEGATE_DATA_DIR: '/data' })
    expect(image.command).toEqual(['sluicegate', 'serve'])
  })
})

describeWith('mounts', 'what the image holds', () => {
  it('serves as that user with a read-only root, is healthy, keeps an event, and ends in time', async () => {
    const directory = workspace()
    chmodSync(directory, 0o755)
    const root = layOut(directory)
    const dataDir = join(directory, 'data')
    mkdirSync(dataDir, { mode: 0o700 })
    chownSync(dataDir, image.uid, image.uid)
    const env = { ...image.env, SLUICEGATE_HOST: '127.0.0.1', TMPDIR: '/nowhere' }
    const path = `${join(root, 'usr/local/bin')}:${process.env['PATH']}`
    const readyFile = join(dataDir, 'ready.json')
    const server = await startServer({
      dataDir,
      within: readOnlyExcept(dataDir),
      command: image.command,
      env: { ...env, PATH: path },
      readyFile,
    })
    const reply = await exchange(server.ingest, postJson('/track', event('kept')))
    expect(reply.body.toString()).toBe('1')
    expect((await server.status()).decoder).toBe('native')

    const health = (port: string): ReturnType<typeof launch> => {
      return launch(image.health, { env: { ...env, SLUICEGATE_OPS_PORT: port } })
    }
    expect((await health(new URL(server.ops).port).exited).code).toBe(0)
    expect(await inTime('exit', server.stop(), 15_000)).toEqual({ code: 0, signal: null })
    expect((await health(new URL(server.ops).port).exited).code).toBe(1)
    expect((await tail(dataDir)).map(({ record }) => record.event)).toEqual(['kept'])
  })
})
