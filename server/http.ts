// What a relay answers to plain HTTP: whether it lives, whether it is ready, its metrics, its pages, and a word for
// people who ask without a browser. The WebSocket of the same port is server/upgrade.ts.

import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Metrics } from './metrics.ts'
import type { Pages } from './pages.ts'

/** How far a relay is in its life. */
export type RelayPhase = 'starting' | 'ready' | 'draining' | 'failed'

export interface HttpHandlerOptions {
  readonly phase: () => RelayPhase
  /** False while the store has no room for messages. */
  readonly hasRoom: () => boolean
  /** Undefined until the broker is open. */
  readonly metrics: () => Metrics | undefined
  readonly version: string
  readonly pages: Pages
  /** A bug while answering. */
  readonly failed: (error: unknown) => void
}

interface Answer {
  readonly status: number
  readonly text: string | Buffer
  readonly contentType?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** A request listener for `http.createServer`. */
export function createHttpHandler(options: HttpHandlerOptions): RequestListener {
  return (request, response) => {
    answerTo(request, options).then(
      (answer) => send(request, response, answer),
      (error: unknown) => {
        options.failed(error)
        send(request, response, { status: 500, text: 'a bug in the relay; its log says more\n' })
      },
    )
  }
}

async function answerTo({ method, url, headers }: IncomingMessage, options: HttpHandlerOptions): Promise<Answer> {
  if (method !== 'GET' && method !== 'HEAD') {
    return { status: 405, text: 'only GET is answered here\n', headers: { Allow: 'GET, HEAD' } }
  }
  const [path = '/'] = (url ?? '/').split('?', 1)
  const phase = options.phase()
  switch (path) {
    case '/healthz':
      return phase === 'failed' ? { status: 503, text: 'failed\n' } : { status: 200, text: 'ok\n' }
    case '/readyz':
      if (phase === 'ready' && !options.hasRoom()) return { status: 503, text: 'full: the store has no room for messages\n' }
      return { status: phase === 'ready' ? 200 : 503, text: `${phase}\n` }
    case '/metrics': {
      const metrics = options.metrics()
      if (metrics === undefined) return { status: 503, text: `${phase}\n` }
      return { status: 200, text: await metrics.scrape(), contentType: metrics.contentType }
    }
    case '/':
    case '/mq':
      if (headers.upgrade !== undefined) return { status: 503, text: `${phase}\n`, headers: { 'Retry-After': '1' } }
      // A browser; with what stands behind `?`, which is for the page.
      if (path === '/' && options.pages.names.includes('demo') && headers.accept?.includes('text/html') === true) {
        return redirect(`/demo/${(url ?? '').slice(path.length)}`)
      }
      return { status: 200, text: welcomeText(options, headers.host) }
    default:
      return pageAt(path, url ?? '', options.pages)
  }
}

function pageAt(path: string, url: string, pages: Pages): Answer {
  const file = pages.find(path)
  if (file !== undefined) return { status: 200, text: file.body, contentType: file.contentType, headers: file.headers }
  // Addresses inside a page are relative to its folder.
  if (pages.find(`${path}/`) !== undefined) return redirect(`${path}/${url.slice(path.length)}`)
  const there = ['/healthz', '/readyz', '/metrics', ...pages.names.map((name) => `/${name}/`)]
  return { status: 404, text: `there is nothing at ${path}; try ${there.slice(0, -1).join(', ')} or ${there.at(-1)}\n` }
}

function redirect(location: string): Answer {
  return { status: 302, text: `see ${location}\n`, headers: { Location: location } }
}

function welcomeText({ version, pages }: HttpHandlerOptions, host: string | undefined): string {
  return [
    `PocketMQ ${version}, a message broker.`,
    '',
    `Clients connect by WebSocket: ws://${host ?? 'localhost'}/`,
    '/healthz  whether it lives',
    '/readyz   whether it takes messages',
    '/metrics  for Prometheus',
    ...pages.names.map((name) => `/${name}/`.padEnd(11) + pageMeanings[name]),
    '',
  ].join('\n')
}

/** What stands behind a page's address. */
const pageMeanings: Readonly<Record<string, string>> = {
  demo: 'a flash sale, played by tabs and devices',
  console: 'for who runs the relay',
}

function send({ method }: IncomingMessage, response: ServerResponse, answer: Answer): void {
  response.writeHead(answer.status, {
    'Content-Type': answer.contentType ?? 'text/plain; charset=utf-8',
    'Content-Length': Buffer.byteLength(answer.text),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...answer.headers,
  })
  response.end(method === 'HEAD' ? undefined : answer.text)
}
