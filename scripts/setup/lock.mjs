// One set-up at a time in a folder: `npm start` and `npm test` side by side would run over each other's feet.
import { mkdirSync, openSync, readFileSync, rmSync, writeSync, closeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { say } from './run.mjs'

/** Runs `work` while holding the lock; waits for another process that has it, and takes over from a dead one. */
export async function withLock(directory, work) {
  mkdirSync(directory, { recursive: true })
  const path = join(directory, 'setup.lock')
  let told = false
  while (!take(path)) {
    const owner = ownerOf(path)
    if (owner !== undefined && !alive(owner)) rmSync(path, { force: true })
    else if (!told) {
      say(`waiting for another set-up in this folder (process ${owner ?? 'unknown'})`)
      told = true
    }
    await sleep(100)
  }
  try {
    return await work()
  } finally {
    rmSync(path, { force: true })
  }
}

function take(path) {
  try {
    const file = openSync(path, 'wx')
    writeSync(file, String(process.pid))
    closeSync(file)
    return true
  } catch (error) {
    if (error.code === 'EEXIST') return false
    throw error
  }
}

function ownerOf(path) {
  try {
    return Number(readFileSync(path, 'utf8')) || undefined
  } catch {
    return undefined
  }
}

function alive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}
