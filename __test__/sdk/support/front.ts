/** What stands between browsers and the server: a proxy that does what the tests tell it, well or badly. */
import {
  createServer,
  request as forward,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestServer } from './server.js'

export class Front {
  /** `METHOD path content-type` of every request, oldest first: what leaves with the page, the browser's tools miss. */
  readonly seen: string[] = []
  /** Takes the CORS headers off every 503, as a proxy does that makes its own error page. */
  stripCors = false

  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async start(target: TestServer): Promise<Front> {
    const server = createServer((request, response) => front.pass(request, response, target))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const front = new Front(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    return front
  }

  async close(): Promise<void> {
    this.server.closeAllConnections()
    await new Promise((resolve) => this.server.close(resolve))
  }

  private pass(request: IncomingMessage, response: ServerResponse, target: TestServer): void {
    const { method, headers, url } = request
    this.seen.push(`${method} ${url!.split('?')[0]} ${headers['content-type']}`)
    const upstream = forward(`${target.url}${url}`, { method, headers }, (answer) => {
      const shown = { ...answer.headers }
      if (this.stripCors && answer.statusCode === 503) {
        for (const name of Object.keys(shown)) if (name.startsWith('access-control-')) delete shown[name]
      }
      response.writeHead(answer.statusCode!, shown)
      answer.pipe(response)
    })
    upstream.on('error', () => this.unreachable(request, response))
    request.pipe(upstream)
  }

  /** As deploy/nginx/sluicegate.conf answers when there is no server behind it. */
  private unreachable(request: IncomingMessage, response: ServerResponse): void {
    if (response.headersSent) return void response.destroy()
    const { origin } = request.headers
    const cors = { 'access-control-allow-origin': origin, 'access-control-allow-credentials': 'true' }
    response.writeHead(503, {
      'content-type': 'application/json',
      'retry-after': '1',
      ...(origin === undefined || this.stripCors ? {} : cors),
    })
    response.end('{"error":"unavailable, retry later","status":0}')
  }
}
