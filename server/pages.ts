// Pages as a relay serves them: files of dist/pages by their addresses, found when the relay starts and held in memory, so
// that no address can name a file that is not one of them. There are the demo and the console.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A file of a page, as it goes out. */
export interface PageFile {
  readonly body: Buffer
  readonly contentType: string
  readonly headers: Readonly<Record<string, string>>
}

export interface Pages {
  /** Names of the pages that are there: `demo`, `console`. */
  readonly names: readonly string[]
  /** The file at an address such as `/demo/assets/index-abc.js`; undefined where there is none. */
  find(path: string): PageFile | undefined
}

/** In the order they are told. */
const pageNames: readonly string[] = ['demo', 'console']

const contentTypes: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.webp': 'image/webp',
  '.woff2': 'font/woff2',
  '.txt': 'text/plain; charset=utf-8',
}

/** Nothing but files of this origin; connections to any relay, as pages take the address of one. */
const securityPolicy = [
  "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "font-src 'self'", "worker-src 'self'",
  "connect-src 'self' ws: wss:", "manifest-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
].join('; ')

/** Where a build puts the pages, seen from dist/, from dist/chunks/ and from the sources. */
const builtFolders = ['./pages', '../pages', '../dist/pages']

/** The folder of the built pages; undefined where they are not built. */
export function findPagesFolder(base: string = import.meta.url): string | undefined {
  return builtFolders
    .map((folder) => fileURLToPath(new URL(folder, base)))
    .find((folder) => existsSync(join(folder, 'demo/index.html')))
}

/** Reads the pages of a folder; none where it is undefined. */
export function readPages(folder: string | undefined): Pages {
  const files = new Map<string, PageFile>()
  if (folder === undefined) return { names: [], find: () => undefined }
  const names = pageNames.filter((name) => existsSync(join(folder, name, 'index.html')))
  for (const name of names) readFolder(join(folder, name), `/${name}`, files)
  return { names, find: (path) => files.get(path) }
}

function readFolder(folder: string, address: string, files: Map<string, PageFile>): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) readFolder(path, `${address}/${entry.name}`, files)
    else if (entry.isFile()) addFile(path, `${address}/${entry.name}`, files)
  }
}

function addFile(path: string, address: string, files: Map<string, PageFile>): void {
  const contentType = contentTypes[extname(path)]
  if (contentType === undefined) return
  const isHashed = address.includes('/assets/')
  const file: PageFile = {
    body: readFileSync(path),
    contentType,
    headers: {
      // A build names these by their contents; the page itself must be asked for each time, as it names them.
      'Cache-Control': isHashed ? 'public, max-age=31536000, immutable' : 'no-cache',
      'Content-Security-Policy': securityPolicy,
      'Referrer-Policy': 'no-referrer',
      'Cross-Origin-Opener-Policy': 'same-origin',
    },
  }
  files.set(address, file)
  if (address.endsWith('/index.html')) files.set(address.slice(0, -'index.html'.length), file)
}
