/** A headless Chromium, and a page of another origin that has the npm package `mixpanel-browser` in it. */
import { accessSync, constants, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { type BrowserContext, chromium, type Page } from 'playwright-core'

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** The build that sets `window.mixpanel`; the recorder is in it. */
const SDK_FILE = 'mixpanel.umd.js'

function programOf(name: string): string {
  for (const directory of (process.env['PATH'] ?? '').split(delimiter)) {
    try {
      accessSync(join(directory, name), constants.X_OK)
      return join(directory, name)
    } catch {
      // Not in this one.
    }
  }
  throw new Error(`${name} is not installed`)
}

/**
 * JavaScript that tracks an event and resolves once the client has put it into its queue, which it does later than `track`
 * returns, behind a lock: until then an empty queue says nothing.
 *
 * @param properties JavaScript of an object
 */
export function trackQueued(name: string, properties: string): string {
  return `new Promise((resolve) => mixpanel.track(${JSON.stringify(name)}, ${properties}, resolve))`
}

/** What went over the wire, as the browser saw it. */
export interface Exchange {
  readonly method: string
  readonly url: string
  readonly contentType: string | undefined
  readonly body: string | null
  /** undefined: no answer that the page may read. */
  status: number | undefined
}

export class Browser {
  private constructor(
    private readonly context: BrowserContext,
    private readonly profile: string,
    private readonly pages: Server,
    /** Of the pages: another site than the server's 127.0.0.1. */
    readonly origin: string,
  ) {}

  static async start(): Promise<Browser> {
    const profile = mkdtempSync(join(tmpdir(), 'sluicegate-chromium-'))
    const pages = await servePages()
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: programOf('chromium'),
      headless: true,
      args: FLAGS,
    })
    return new Browser(context, profile, pages, `http://localhost:${(pages.address() as AddressInfo).port}`)
  }

  /** A new page, with nothing left in localStorage by the one before. */
  async open(): Promise<Visit> {
    const page = await this.context.newPage()
    const visit = new Visit(page, this.origin)
    await visit.load()
    await page.evaluate('localStorage.clear()')
    return visit
  }

  async close(): Promise<void> {
    await this.context.close()
    this.pages.closeAllConnections()
    await new Promise((resolve) => this.pages.close(resolve))
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 5 })
  }
}

async function servePages(): Promise<Server> {
  const main = createRequire(import.meta.url).resolve('mixpanel-browser')
  const sdk = readFileSync(join(dirname(main), SDK_FILE))
  const html = '<!doctype html><meta charset="utf-8"><title>Shop</title><script src="/sdk.js"></script>'
  const server = createServer((request, response) => {
    const [type, body] = request.url === '/sdk.js' ? ['text/javascript', sdk] : ['text/html', html]
    response.writeHead(request.url === '/favicon.ico' ? 204 : 200, {
      'content-type': `${type}; charset=utf-8`,
    })
    response.end(request.url === '/favicon.ico' ? undefined : body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

/** A tab with the page in it, and everything that it said and sent. */
export class Visit {
  /** Lines of level warning and error, and uncaught errors. */
  readonly complaints: string[] = []
  readonly exchanges: Exchange[] = []

  constructor(
    readonly page: Page,
    private readonly origin: string,
  ) {
    page.on('console', (message) => {
      if (['warning', 'error'].includes(message.type())) this.complaints.push(message.text())
    })
    page.on('pageerror', (error) => this.complaints.push(String(error)))
    page.on('request', (request) => {
      if (request.url().startsWith(this.origin)) return
      const exchange: Exchange = {
        method: request.method(),
        url: request.url(),
        contentType: request.headers()['content-type'],
        body: request.postData(),
        status: undefined,
      }
      this.exchanges.push(exchange)
      const answered = async (): Promise<void> => {
        exchange.status = (await request.response())?.status()
      }
      // A request that has no response when the page goes has none.
      answered().catch(() => {})
    })
  }

  /** Loads the page (again): what is in localStorage stays. */
  async load(): Promise<void> {
    await this.page.goto(this.origin)
  }

  /** Runs `mixpanel.init`. */
  async init(token: string, config: Readonly<Record<string, unknown>>): Promise<void> {
    await this.page.evaluate(
      ([projectToken, settings]) => {
        const scope = globalThis as unknown as Record<string, unknown>
        const errors: string[] = []
        scope['reported'] = errors
        const mixpanel = scope['mixpanel'] as { init(token: string, config: object): void }
        mixpanel.init(projectToken, {
          persistence: 'localStorage',
          batch_flush_interval_ms: 300,
          // An unbatched request's failure comes as an Error.
          error_reporter: (message: unknown) => errors.push(String(message)),
          ...settings,
        })
      },
      [token, config] as const,
    )
  }

  /** Runs JavaScript in the page; `mixpanel` is there. */
  run(code: string): Promise<unknown> {
    return this.page.evaluate(`(async () => {${code}})()`)
  }

  /** Messages to `error_reporter` since `init`. */
  async errors(): Promise<string[]> {
    return (await this.run('return window.reported')) as string[]
  }

  /** Items that the SDK has not got rid of yet: events, people, groups. */
  async waiting(token: string): Promise<number> {
    return (await this.run(`
      return ['ev', 'pp', 'gr']
        .map((queue) => JSON.parse(localStorage.getItem('__mpq_${token}_' + queue) ?? '[]').length)
        .reduce((sum, length) => sum + length, 0)`)) as number
  }

  /** What reached the wire for a path, oldest first. */
  sent(path: string): Exchange[] {
    return this.exchanges.filter(({ url, method }) => method !== 'OPTIONS' && new URL(url).pathname === path)
  }
}
