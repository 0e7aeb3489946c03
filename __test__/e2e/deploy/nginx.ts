/**
 * deploy/nginx/sluicegate.conf, run by a real nginx in front of two processes, which are started by the command line of
 * deploy/systemd/sluicegate@.service. Only ports, paths and the number of processes' addresses differ from the files.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import {
  launch,
  type Process,
  ROOT,
  type ServerProcess,
  startServer,
  waitFor,
  workspace,
} from '../support/server.js'
import { unitCommand } from './unit.js'

const SNIPPET = readFileSync(join(ROOT, 'deploy/nginx/sluicegate.conf'), 'utf8')
const WRITERS = ['0', '1'] as const

export interface Stack {
  /** What clients talk to. */
  readonly url: string
  /** The same through TLS. */
  readonly tlsUrl: string
  readonly nginx: Process
  readonly dataDir: string
  readonly gates: readonly ServerProcess[]
  /** SIGTERM to every process behind nginx, and their end. */
  stopGates(): Promise<void>
  /** Starts them again, on the ports that nginx knows. */
  startGates(): Promise<void>
}

/**
 * @param settings further flags of both processes
 */
export async function startStack(settings: readonly string[] = []): Promise<Stack> {
  const directory = workspace()
  const dataDir = join(directory, 'data')
  let gates = await Promise.all(WRITERS.map((writer) => startGate(dataDir, writer, '0', settings)))
  const ports = gates.map(({ ingest }) => new URL(ingest).port)
  const [plain, tls] = [await freePort(), await freePort()]
  const nginx = launch(['nginx', '-p', directory, '-c', configFile(directory, ports, plain, tls)])
  await waitFor(async () => {
    if (nginx.exit !== undefined) throw new Error(`nginx ended: ${nginx.stderr}`)
    return (await answers(plain)) ? true : undefined
  })
  return {
    url: `http://127.0.0.1:${plain}`,
    tlsUrl: `https://127.0.0.1:${tls}`,
    nginx,
    dataDir,
    get gates() {
      return gates
    },
    stopGates: async () => void (await Promise.all(gates.map((gate) => gate.stop()))),
    startGates: async () => {
      gates = await Promise.all(WRITERS.map((writer, n) => startGate(dataDir, writer, ports[n]!, settings)))
    },
  }
}

function startGate(
  dataDir: string,
  writer: string,
  port: string,
  settings: readonly string[],
): Promise<ServerProcess> {
  const command = unitCommand('sluicegate@.service', writer)
  return startServer({ dataDir, command, args: ['--port', port, ...settings] })
}

/** Replaces what must stand in the snippet, or says that it does not. */
function replaced(text: string, pattern: RegExp, by: string): string {
  if (!pattern.test(text)) throw new Error(`deploy/nginx/sluicegate.conf has no ${pattern}`)
  return text.replace(pattern, by)
}

function configFile(directory: string, ports: readonly string[], plain: number, tls: number): string {
  const { key, certificate } = makeCertificate(directory)
  let snippet = SNIPPET
  for (const [n, port] of ports.entries()) {
    snippet = replaced(snippet, new RegExp(`127\\.0\\.0\\.1:901${n}\\b`), `127.0.0.1:${port}`)
  }
  snippet = replaced(snippet, /listen 80;/, `listen 127.0.0.1:${plain};`)
  snippet = replaced(snippet, /# listen 443 ssl/, `listen 127.0.0.1:${tls} ssl`)
  snippet = replaced(snippet, /# (ssl_certificate +)\S+;/, `$1${certificate};`)
  snippet = replaced(snippet, /# (ssl_certificate_key +)\S+;/, `$1${key};`)
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => {
    mkdirSync(join(directory, name))
    return `${name}_temp_path ${join(directory, name)};`
  })
  const path = join(directory, 'nginx.conf')
  writeFileSync(join(directory, 'sluicegate.conf'), snippet)
  writeFileSync(
    path,
    `# One process, so that the test's SIGKILL leaves no worker behind.
daemon off;
master_process off;
pid ${directory}/nginx.pid;
error_log stderr;
events { worker_connections 1024; }
http {
  ${temporary.join('\n  ')}
  include ${directory}/sluicegate.conf;
}
`,
  )
  return path
}

function makeCertificate(directory: string): { key: string; certificate: string } {
  const [key, certificate] = [join(directory, 'key.pem'), join(directory, 'certificate.pem')]
  const subject = ['-subj', '/CN=127.0.0.1', '-days', '2']
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const files = ['-keyout', key, '-out', certificate]
  execFileSync('openssl', ['req', ...kind, ...subject, ...files], { stdio: 'ignore' })
  return { key, certificate }
}

/** A port that is free now; whoever takes it first has it. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
