// How the package is built (`vite build`) and how the tests run (`vitest`). The relay, the client for Node and core
// become plain modules in dist/, readable, with source maps; packages of npm stay outside and are installed beside.

import { defineConfig, type TestProjectInlineConfiguration, type ViteUserConfig } from 'vitest/config'
import { chromiumLaunch, findChromium, findFirefox, firefoxLaunch } from './tools/browsers.mjs'

/** Program or door of package.json's "exports" -> its source. */
const entries = {
  cli: 'server/main.ts',
  connect: 'server/connect.ts',
  server: 'server/index.ts',
  core: 'core/index.ts',
}

export default defineConfig(async ({ mode }): Promise<ViteUserConfig> => ({
  build: {
    ssr: true,
    target: 'node20.19',
    outDir: 'dist',
    // tools/build.mjs empties it, and leaves dist/web, which is another build.
    emptyOutDir: false,
    sourcemap: true,
    minify: false,
    reportCompressedSize: false,
    rolldownOptions: {
      input: entries,
      output: {
        entryFileNames: '[name].js',
        chunkFileNames: 'chunks/[name]-[hash].js',
        banner: (chunk) => (chunk.name === 'cli' && chunk.isEntry ? '#!/usr/bin/env node' : ''),
      },
    },
  },
  ssr: {
    target: 'node',
    external: true,
  },
  test: {
    environment: 'node',
    // Processes, not threads: a test may send signals, change the directory, or load a native module.
    pool: 'forks',
    testTimeout: 20_000,
    hookTimeout: 60_000,
    allowOnly: false,
    restoreMocks: true,
    // Three kinds of tests, one kind after the other: by name, `vitest run --project web`.
    projects: mode === 'test' ? [node, await web(), e2e] : [],
  },
}))

/** What runs in Node alone. */
const node: TestProjectInlineConfiguration = {
  extends: true,
  test: {
    name: 'node',
    include: ['test/**/*.test.ts'],
    exclude: ['test/**/*.browser.test.ts', 'test/e2e/**', 'test/packaging/**'],
    sequence: { groupOrder: 0 },
  },
}

/** Node drives browsers, with pages and tabs of its own. One file at a time: each has processes enough. */
const e2e: TestProjectInlineConfiguration = {
  extends: true,
  test: {
    name: 'e2e',
    include: ['test/e2e/**/*.test.ts', 'test/packaging/**/*.test.ts'],
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // A browser process that a busy machine starves or kills is none of the product's faults; a fault fails each time.
    retry: 2,
    sequence: { groupOrder: 2 },
  },
}

/** Tests that are themselves pages, in Chromium, and in Firefox where there is one. */
async function web(): Promise<TestProjectInlineConfiguration> {
  // Not at the top: a build must not wait for it.
  const { playwright } = await import('@vitest/browser-playwright')
  const firefox = findFirefox()
  // Without a path Playwright says itself what is missing; `npm test` has installed one before.
  const { headless: _, ...chromiumOptions } = chromiumLaunch(findChromium() ?? 'no Chromium found')
  return {
    extends: true,
    // Named here, so that they are not found in the middle of a run, which would load every page anew.
    optimizeDeps: { include: ['comlink', 'idb', 'react', 'react-dom/client'] },
    test: {
      name: 'web',
      include: ['test/**/*.browser.test.ts'],
      sequence: { groupOrder: 1 },
      fileParallelism: false,
      browser: {
        enabled: true,
        headless: true,
        screenshotFailures: false,
        provider: playwright({ launchOptions: chromiumOptions }),
        instances: [
          { browser: 'chromium' },
          ...(firefox === undefined ? [] : [{
            browser: 'firefox' as const,
            provider: playwright({ launchOptions: firefoxLaunch(firefox) }),
          }]),
        ],
      },
    },
  }
}
