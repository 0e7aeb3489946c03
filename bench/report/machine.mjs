// What a record says about where it was made.
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { root } from '../http/child.mjs'
import { wrkVersion } from '../http/wrk.mjs'

/** `amd-epyc-2-cores`: names the folder of its records. */
export function machine() {
  const [{ model }] = cpus()
  const cores = cpus().length
  const slug = model
    .toLowerCase()
    .replace(/\(r\)|\(tm\)|processor|cpu/g, '')
    .replace(/[^a-z\d]+/g, '-')
  const name = `${slug.replace(/^-|-$/g, '')}-${cores}-cores`
  return {
    name,
    cpu: model.trim(),
    cores,
    memory_bytes: totalmem(),
    kernel: release(),
    load_average_before: loadavg().map((value) => Number(value.toFixed(2))),
  }
}

const installed = (name) =>
  JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8')).version

const firstLine = (command, args) => {
  const { stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
  return error === undefined ? (stdout || stderr).trim().split('\n', 1)[0] : null
}

export function versions() {
  const git = (...args) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim()
  return {
    sluicegate: JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version,
    commit: git('rev-parse', 'HEAD'),
    changed_files: git('status', '--porcelain').split('\n').filter(Boolean).length,
    node: process.version,
    fastify: installed('fastify'),
    kafkajs: installed('kafkajs'),
    rustc: firstLine('rustc', ['--version']),
    wrk: wrkVersion(),
    python: firstLine('python3', ['--version']),
    python_packages: readFileSync(join(root, 'bench/baselines/python/requirements.txt'), 'utf8')
      .trim()
      .split('\n'),
    erlang: firstLine('erl', ['-noshell', '-eval', 'io:put_chars(erlang:system_info(otp_release)), halt().']),
  }
}
