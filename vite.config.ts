// How the package is built (`vite build`) and how the tests run (`vitest`). The relay, the client for Node and core
// become plain modules in dist/, readable, with source maps; packages of npm stay outside and are installed beside.

import { defineConfig } from 'vitest/config'

/** Program or door of package.json's "exports" -> its source. */
const entries = {
  cli: 'server/main.ts',
  connect: 'server/connect.ts',
  server: 'server/index.ts',
  core: 'core/index.ts',
}

export default defineConfig({
  build: {
    ssr: true,
    target: 'node20.19',
    outDir: 'dist',
    emptyOutDir: true,
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
    include: ['test/**/*.test.ts'],
    environment: 'node',
    // Processes, not threads: a test may send signals, change the directory, or load a native module.
    pool: 'forks',
    testTimeout: 20_000,
    hookTimeout: 60_000,
    allowOnly: false,
    restoreMocks: true,
  },
})
