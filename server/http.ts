// What a relay answers to plain HTTP: whether it lives, whether it is ready, its metrics, and a word for people who
// open its address in a browser. The WebSocket of the same port is server/upgrade.ts.

import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Metrics } from './metrics.ts'

/** How far a relay is in its life. */
export type RelayPhase = 'starting' | 'ready' | 'draining' | 'failed'

export interface HttpHandlerOptions {
  readonly phase: () => RelayPhase
  /** Undefined until the broker is open. */
  readonly metrics: () => Metrics | undefined
  readonly version: string
  /** A bug while answering. */
  readonly failed: (error: unknown) => void
}

interface Answer {
  readonly status: number
  readonly text: string
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
  const path = (url ?? '/').split('?', 1)[0]
  const phase = options.phase()
  switch (path) {
    case '/healthz':
      return phase === 'failed' ? { status: 503, text: 'failed\n' } : { status: 200, text: 'ok\n' }
    case '/readyz':
      return { status: phase === 'ready' ? 200 : 503, text: `${phase}\n` }
    case '/metrics': {
      const metrics = options.metrics()
      if (metrics === undefined) return { status: 503, text: `${phase}\n` }
      return { status: 200, text: await metrics.scrape(), contentType: metrics.contentType }
    }
    case '/':
    case '/mq':
      if (headers.upgrade !== undefined) return { status: 503, text: `${phase}\n`, headers: { 'Retry-After': '1' } }
      return { status: 200, text: welcomeText(options.version, headers.host) }
    default:
      return { status: 404, text: `there is nothing at ${path}; try /healthz, /readyz or /metrics\n` }
  }
}

function welcomeText(version: string, host: string | undefined): string {
  return [
    `PocketMQ ${version}, a message broker.`,
    '',
    `Clients connect by WebSocket: ws://${host ?? 'localhost'}/`,
    '/healthz  whether it lives',
    '/readyz   whether it takes messages',
    '/metrics  for Prometheus',
    '',
  ].join('\n')
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
