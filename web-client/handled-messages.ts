// Consumer-side de-duplication, the door `pocketmq/handled`: the id of a handled message is committed in the application's
// own IndexedDB transaction, together with what the message did. A message that is delivered again after a crash, a lost
// ack or a lease that ran out then does nothing a second time: at least once, made idempotent by its consumer.

/** The part of a message that is needed. */
export interface Identified {
  readonly messageId: string
}

const storeNameDefault = 'pocketmq-handled'
const byTime = 'handledMs'
const dayMs = 24 * 3_600_000
/** How many old ids one transaction removes at most, so that none becomes slow. */
const pruneCountMax = 64

export interface HandledMessagesOptions {
  /** The object store of the application's database that keeps the ids. Default `pocketmq-handled`. */
  readonly storeName?: string
  /**
   * How long an id is kept. Default 7 days, as long as a broker knows its producers: what comes again later is a message
   * that lay in a dead letter queue or was replayed on purpose.
   */
  readonly keptMs?: number
}

/** Call it in the `upgradeneeded` of the application's database: makes the object store for the ids where it is missing. */
export function createHandledStore(database: IDBDatabase, storeName = storeNameDefault): void {
  if (database.objectStoreNames.contains(storeName)) return
  database.createObjectStore(storeName).createIndex(byTime, byTime)
}

/**
 * Does `work` at most once for a message. Opens one transaction over `storeNames` and the store of ids; where the id is
 * there already, nothing is done and it gives false. Otherwise `work` gets the transaction, and its writes and the id are
 * committed together, synced (`strict`); then it gives true, and the message may be acked.
 *
 * `work` may await requests of this transaction and nothing else, or the browser commits it early, without the id: then
 * this throws a TypeError, and the work is done again. If `work` throws, all of it is rolled back and the error is thrown
 * on. Two tabs with the same message are kept apart by the transaction.
 *
 * ```ts
 * for await (const message of orders.consume({ group: 'till' })) {
 *   await handleOnce(database, ['stock'], message, (transaction) => {
 *     transaction.objectStore('stock').put(message.value.left, message.value.id)
 *   })
 *   await message.ack()
 * }
 * ```
 */
export async function handleOnce(
  database: IDBDatabase, storeNames: readonly string[], message: Identified,
  work: (transaction: IDBTransaction) => void | Promise<void>,
  { storeName = storeNameDefault, keptMs = 7 * dayMs }: HandledMessagesOptions = {},
): Promise<boolean> {
  if (!database.objectStoreNames.contains(storeName)) {
    throw new TypeError(
      `the database '${database.name}' has no object store '${storeName}': call createHandledStore when it is upgraded`,
    )
  }
  const transaction = database.transaction([...new Set([...storeNames, storeName])], 'readwrite', { durability: 'strict' })
  let isCommitted = false
  const over = ended(transaction).then(() => {
    isCommitted = true
  })
  // Where the transaction fails, the request that failed says why.
  over.catch(() => {})
  const ids = transaction.objectStore(storeName)
  const nowMs = Date.now()
  try {
    const known: unknown = await answered(ids.getKey(message.messageId))
    if (known !== undefined) {
      transaction.commit()
      await over
      return false
    }
    await work(transaction)
  } catch (error) {
    abort(transaction)
    throw error
  }
  // Its id would be kept and its work not be done: so the id comes last.
  if (isCommitted) throw new TypeError(`the work for message ${message.messageId} awaited more than its transaction's requests`)
  try {
    ids.put({ [byTime]: nowMs }, message.messageId)
    await prune(ids, nowMs - keptMs)
  } catch (error) {
    abort(transaction)
    throw transaction.error ?? error
  }
  await over
  return true
}

async function prune(ids: IDBObjectStore, beforeMs: number): Promise<void> {
  const range = IDBKeyRange.upperBound(beforeMs, true)
  for (const key of await answered(ids.index(byTime).getAllKeys(range, pruneCountMax))) ids.delete(key)
}

function answered<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error ?? new DOMException('the request failed', 'UnknownError'))
  })
}

function ended(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve()
    transaction.onabort = () => reject(transaction.error ?? new DOMException('the transaction was aborted', 'AbortError'))
  })
}

function abort(transaction: IDBTransaction): void {
  try {
    transaction.abort()
  } catch {
    // It has ended already.
  }
}
