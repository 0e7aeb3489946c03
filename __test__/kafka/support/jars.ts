/**
 * The broker's jars: fetched once by Maven into a cache of the user's, beside an archive of its classes that halves the
 * time a broker takes to start. What cannot be fetched is a reason to skip (../../support/require.ts), not a failure.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { missing, type Part } from '../../support/require.js'

export const BROKER_FILES = fileURLToPath(new URL('../broker/', import.meta.url))
export const VERSIONS = ['4.3.1', '3.9.2'] as const
export type KafkaVersion = (typeof VERSIONS)[number]
export const KAFKA_PARTS: readonly Part[] = ['java', 'maven', 'kcat']

/** From an empty cache it takes 10 s where nothing else runs. */
const FETCH_MS_MAX = 240_000
/** Kafka 4 runs on nothing older. */
const JAVA_MIN = 17
const PLUGIN = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies'
const run = promisify(execFile)

export interface Jars {
  readonly version: KafkaVersion
  /** Names all jars; Java itself expands the star. */
  readonly classPath: string
  /** Classes as the virtual machine has them in memory; made by the first broker that stops by itself. */
  readonly classArchive: string
}

export interface Fetched {
  /** Why there are none; undefined when there are. */
  readonly reason: string | undefined
  readonly jars: Jars
}

/** The jars of a version, fetched if they are not there yet. */
export async function fetchJars(version: KafkaVersion = VERSIONS[0]): Promise<Fetched> {
  const directory = join(cacheDirectory(), `kafka-${version}-${recipeHash()}`)
  const java = await javaVersion()
  const jars = {
    version,
    classPath: join(directory, '*'),
    // It fits the virtual machine that made it, and no other.
    classArchive: join(directory, `classes-${shortHash(java.text)}.jsa`),
  }
  const isFetched = existsSync(directory)
  const needed = isFetched ? KAFKA_PARTS.filter((part) => part !== 'maven') : KAFKA_PARTS
  const absent = needed.map(missing).filter((why) => why !== undefined)
  if (absent.length > 0) return { reason: absent.join(', '), jars }
  if (java.major < JAVA_MIN) return { reason: `Java ${JAVA_MIN} is needed, ${java.major} is here`, jars }
  return { reason: isFetched ? undefined : await fetched(directory, version), jars }
}

function cacheDirectory(): string {
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'sluicegate-test')
}

const shortHash = (text: string | Buffer): string =>
  createHash('sha256').update(text).digest('hex').slice(0, 12)
const recipeHash = (): string => shortHash(readFileSync(join(BROKER_FILES, 'pom.xml')))

async function javaVersion(): Promise<{ readonly text: string; readonly major: number }> {
  const { stderr: text } = await run('java', ['-version']).catch(() => ({ stderr: '' }))
  return { text, major: Number(/version "(\d+)/.exec(text)?.[1] ?? 0) }
}

/** Filled beside its place and then moved there: it is whole or not there, also when two test runs fetch it at once. */
async function fetched(directory: string, version: KafkaVersion): Promise<string | undefined> {
  mkdirSync(cacheDirectory(), { recursive: true })
  const temporary = mkdtempSync(`${directory}.`)
  try {
    await maven(version, temporary)
    if (!existsSync(directory)) renameSync(temporary, directory)
    return undefined
  } catch (error) {
    if (existsSync(directory)) return undefined
    const { stdout = '', message } = error as Error & { stdout?: string }
    return `Kafka ${version} cannot be fetched: ${(stdout || message).trim().split('\n').slice(0, 3).join(' ')}`
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}

async function maven(version: KafkaVersion, directory: string): Promise<void> {
  const pom = join(BROKER_FILES, 'pom.xml')
  const settings = [`-Dkafka.version=${version}`, '-DincludeScope=runtime', `-DoutputDirectory=${directory}`]
  const args = ['--batch-mode', '--quiet', '--file', pom, PLUGIN, ...settings]
  await run('mvn', args, { timeout: FETCH_MS_MAX, cwd: tmpdir() })
}
