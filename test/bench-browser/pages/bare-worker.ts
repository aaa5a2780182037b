// The limits that PocketMQ is measured against: a shared worker with nothing but an IndexedDB database and ports.

/// <reference lib="webworker" />
import { type BareRequest, inTurn, noise } from './bare-protocol.ts'

const ports: MessagePort[] = []
let database: IDBDatabase | undefined
let keyNext = 0

const scope = self as unknown as { onconnect: (event: MessageEvent) => void }

scope.onconnect = ({ ports: [port] }) => {
  if (port === undefined) return
  ports.push(port)
  port.onmessage = ({ data }: MessageEvent<BareRequest>) => {
    void answer(port, data).then((value) => port.postMessage(value))
  }
}

async function answer(port: MessagePort, request: BareRequest): Promise<unknown> {
  switch (request.op) {
    case 'open':
      database ??= await open(request.database)
      return undefined
    case 'echo':
      return undefined
    case 'put':
      await put(request.body)
      return undefined
    case 'forward':
      await put(request.body)
      for (const other of ports) if (other !== port) other.postMessage(request.body)
      return undefined
    case 'append': {
      // A buffer of its own for each, as batches have.
      const body = noise(request.batchBytes)
      return inTurn(request.batchCount, () => put(body.slice()))
    }
    case 'first': {
      const startedMs = performance.now()
      const opened = await open(request.database)
      const read = opened.transaction('log').objectStore('log').getAll(undefined, 1)
      await new Promise((resolve, reject) => {
        read.onsuccess = resolve
        read.onerror = reject
      })
      return performance.now() - startedMs
    }
  }
}

function open(name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1)
    request.onupgradeneeded = () => request.result.createObjectStore('log')
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error ?? new Error('the database did not open'))
  })
}

function put(body: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    if (database === undefined) return reject(new Error('no database is open'))
    const transaction = database.transaction('log', 'readwrite', { durability: 'strict' })
    const store = transaction.objectStore('log')
    store.put(body, [1, keyNext++])
    store.put(keyNext, [0, 0])
    transaction.commit()
    transaction.oncomplete = () => resolve()
    transaction.onabort = () => reject(transaction.error ?? new Error('aborted'))
  })
}
