// Which build of the library this is: the package's build puts it in; sources run as they are have none.

declare const POCKETMQ_BUILD: string | undefined

export const build: string = typeof POCKETMQ_BUILD === 'string' ? POCKETMQ_BUILD : 'source'
