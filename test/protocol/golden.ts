// Bytes of version 1, kept for ever: one example of every frame, of messages and of records. What is here was sent and
// stored by a release, so it is never changed, only added to.

import type { FrameFields, FrameName } from '../../core/protocol/frames.ts'
import type { MessageHeaders } from '../../core/model/message.ts'

/** Bytes as hex digits; blanks are for the eye. */
export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.replaceAll(/\s/g, ''), 'hex'))
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

const producerId = fromHex('a1b2c3d4e5f60718')
const memberId = fromHex('0102030405060708')
const ranges = [
  { queueId: 3, leaseId: 4_294_967_297, offset: 1_000, count: 2 },
  { queueId: 0, leaseId: 9, offset: 0, count: 1 },
]
const config = {
  queueCount: 8,
  messageType: 'FIFO',
  retentionMs: 259_200_000,
  retentionBytes: 0,
  cleanupPolicy: 'DELETE',
  ttlMs: 86_400_000,
  tracePermille: 10,
  durability: 'relaxed',
} as const
const transactionId = fromHex('e1e2e3e4e5e6e7e8')
/** A handle: when it is due, in base 36, and the message's id. */
const recallHandle = 'mwm0phn4~a1b2c3d4e5f60718-1-70000'

interface GoldenMessage {
  readonly headers: MessageHeaders
  readonly body: Uint8Array
  readonly hex: string
}

/** The messages of a batch. */
export const goldenMessages: readonly GoldenMessage[] = [
  { headers: { bornMs: 1_795_000_000_000 }, body: fromHex('68656c6c6f'), hex: '0d000080bcd9f29e3468656c6c6f' },
  {
    headers: {
      bornMs: 1_795_000_000_000,
      tag: 'paid',
      keys: ['order-4711', 'käufer'],
      messageGroup: 'customer-8',
      properties: new Map([['source', 'shop'], ['empty', '']]),
    },
    body: fromHex('7b7d'),
    hex: `
      420f0180bcd9f29e340470616964020a6f726465722d34373131076bc3a4756665720a637573746f6d65722d38020673
      6f757263650473686f7005656d707479007b7d
    `,
  },
  {
    headers: { bornMs: 1_795_000_000_000, delayMs: 90_000, priority: 7, ttlMs: 3_456_000_000, tag: 'paid' },
    body: fromHex('7b7d'),
    hex: '18d10280bcd9f29e3490bf050780c0f9ef0c04706169647b7d',
  },
  {
    headers: { bornMs: 1_795_000_000_000, deliverMs: 1_795_000_090_000 },
    body: fromHex('7b7d'),
    hex: '10200380bcd9f29e3490fbdef29e347b7d',
  },
]

/** A record of two producers' messages in a FIFO topic, and what is left of it with the first and the last one only. */
export const goldenRecord = {
  whole: `
    d7de9de801010200e8030000000000007b5e56eea1010000efcdab890300000002000000a1b2c3d4e5f6071801000000
    70110100000000000400000000000000ffeeddccbbaa99880000000000000000000000000100000002000000872d52e0
    0000000000000000000000001a0000002f000000f395f5519a095a21f395f55119050180bcd9f29e3404706169640a63
    7573746f6d65722d383114040380bcd9f29e340a637573746f6d65722d393215040081bcd9f29e340a637573746f6d65
    722d383333
  `,
  selection: `
    9fe0bff901030200e8030000000000007b5e56eea1010000efcdab890200000002000000a1b2c3d4e5f6071801000000
    70110100000000000400000000000000ffeeddccbbaa99880000000000000000000000000100000001000000872d52e0
    00000000000000001a000000f395f551f395f551000000000200000019050180bcd9f29e3404706169640a637573746f
    6d65722d383115040081bcd9f29e340a637573746f6d65722d383333
  `,
}

/** A record of a NORMAL topic whose first and last message have times to live, and what is left of it with those two. */
export const goldenExpiringRecord = {
  whole: `
    7b9056ca01040100e8030000000000007b5e56eea1010000efcdab890300000002000000a1b2c3d4e5f6071801000000
    7011010000000000030000000000000000000000872d52e000000000000000000d0000001c00000060ea000000000000
    0060fecd0c800080bcd9f29e34e0d403300e010180bcd9f29e3404706169643114a00280bcd9f29e3490fbdef29e3480
    c0f9ef0c32
  `,
  selection: `
    5fb0b2fb01060100e8030000000000007b5e56eea1010000efcdab890200000002000000a1b2c3d4e5f6071801000000
    701101000000000003000000000000000000000000000000000000000d00000060ea00000060fecd0000000002000000
    0c800080bcd9f29e34e0d4033014a00280bcd9f29e3490fbdef29e3480c0f9ef0c32
  `,
}

/** How an application's send of `hello` looks in a PUBLISH frame. */
const messages = fromHex('0d000080bcd9f29e3468656c6c6f')

export const goldenFrames: { readonly [N in FrameName]: { readonly fields: FrameFields<N>; readonly hex: string } } = {
  HELLO: {
    fields: { versionMin: 1, versionMax: 1, clientId: 'c0ffee', clientName: 'till 7', token: 'secret' },
    hex: '01170000000101066330666665650674696c6c203706736563726574',
  },
  PING: { fields: { nonce: 0xdeadbeef }, hex: '0204000000efbeadde' },
  PUBLISH: {
    fields: {
      requestId: 300,
      topic: 'orders',
      producerId,
      producerEpoch: 1,
      baseSequence: 70_000,
      messageCount: 1,
      sentMs: 1_795_000_000_050,
      messages,
    },
    hex: '032a000000ac02066f7264657273a1b2c3d4e5f6071801f0a20401b2bcd9f29e340d000080bcd9f29e3468656c6c6f',
  },
  SUBSCRIBE: {
    fields: {
      requestId: 2,
      subscriptionId: 1,
      memberId,
      group: 'till',
      topic: 'orders',
      mode: 'BROADCASTING',
      filterKind: 'TAG',
      filter: 'paid || shipped',
      start: { kind: 'timestamp', timestampMs: 1_795_000_000_000 },
      leaseMs: 30_000,
      positions: [{ queueId: 3, position: { epoch: 0x89abcdef, offset: 1_002 } }],
      positionKeeper: 'broker',
      consumerName: 'till-7',
    },
    hex: `
      0442000000020101020304050607080474696c6c066f726465727301000f70616964207c7c20736869707065640280bc
      d9f29e34b0ea010103efcdab89ea07010674696c6c2d37
    `,
  },
  UNSUBSCRIBE: { fields: { requestId: 3, subscriptionId: 1 }, hex: '05020000000301' },
  CREDIT: { fields: { subscriptionId: 1, messageCount: 1_000, byteCount: 1_048_576 }, hex: '060600000001e807808040' },
  ACK: { fields: { requestId: 4, subscriptionId: 1, ranges }, hex: '0710000000040102038180808010e8070200090001' },
  RETRY: {
    fields: { requestId: 5, subscriptionId: 1, ranges, how: 'after', delayMs: 5_000 },
    hex: '0813000000050102038180808010e8070200090001018827',
  },
  EXTEND: {
    fields: { requestId: 6, subscriptionId: 1, ranges, leaseMs: 60_000 },
    hex: '0913000000060102038180808010e8070200090001e0d403',
  },
  RECEIVE: {
    fields: { requestId: 7, subscriptionId: 1, attemptId: 1, messageCountMax: 16, leaseMs: 0, waitMs: 10_000 },
    hex: '0a070000000701011000904e',
  },
  PULL: {
    fields: {
      requestId: 8,
      topic: 'orders',
      queueId: 3,
      start: { kind: 'position', position: { epoch: 0x89abcdef, offset: 1_000 } },
      filterKind: 'SQL92',
      filter: 'a > 5',
      messageCountMax: 100,
      byteCountMax: 65_536,
      waitMs: 0,
    },
    hex: '0b1c00000008066f72646572730303efcdab89e807010561203e20356480800400',
  },
  QUERY: {
    fields: {
      requestId: 9,
      topic: 'orders',
      messageId: undefined,
      key: 'order-4711',
      fromMs: 0,
      toMs: Number.MAX_SAFE_INTEGER,
      after: { storedMs: 1_795_000_000_123, queueId: 3, offset: 1_000 },
      messageCountMax: 64,
    },
    hex: '0c2900000009066f726465727300010a6f726465722d3437313100ffffffffffffff0f01fbbcd9f29e3403e80740',
  },
  CREATE_TOPIC: {
    fields: {
      requestId: 10,
      topic: 'orders',
      options: {
        queueCount: 8,
        messageType: 'FIFO',
        retentionMs: undefined,
        retentionBytes: undefined,
        cleanupPolicy: undefined,
        ttlMs: 86_400_000,
        tracePermille: undefined,
        durability: undefined,
      },
    },
    hex: '0d160000000a066f7264657273010801010000000180b899290000',
  },
  LIST_TOPICS: {
    fields: { requestId: 11, after: '', containing: 'ord', countMax: 100 },
    hex: '0e070000000b00036f726464',
  },
  DESCRIBE_TOPIC: { fields: { requestId: 12, topic: '__proto__' }, hex: '0f0b0000000c095f5f70726f746f5f5f' },
  DELETE_TOPIC: { fields: { requestId: 13, topic: 'orders' }, hex: '10080000000d066f7264657273' },
  CONFIGURE_GROUP: {
    fields: {
      requestId: 14,
      group: 'till',
      options: {
        attemptCountMax: 3,
        retry: { kind: 'exponential', firstMs: 5_000, factor: 2, maxMs: 7_200_000 },
        exhausted: 'hold',
        isPaused: undefined,
        inFlightMax: 1_000,
        inFlightPerMemberMax: undefined,
      },
    },
    hex: '11180000000e0474696c6c0103010188270280bab70301010001e80700',
  },
  LIST_GROUPS: {
    fields: { requestId: 15, after: 'shop', containing: '', countMax: 100 },
    hex: '12080000000f0473686f700064',
  },
  DESCRIBE_GROUP: { fields: { requestId: 16, group: 'till' }, hex: '1306000000100474696c6c' },
  RESET_GROUP: {
    fields: { requestId: 17, group: 'till', topic: 'orders', queueId: undefined, to: { kind: 'latest' } },
    hex: '140f000000110474696c6c066f72646572730001',
  },
  CONFIGURE_TOPIC: {
    fields: {
      requestId: 18,
      topic: 'orders',
      options: {
        queueCount: undefined,
        messageType: undefined,
        retentionMs: undefined,
        retentionBytes: 1_000_000,
        cleanupPolicy: 'COMPACT',
        ttlMs: undefined,
        tracePermille: 1_000,
        durability: 'relaxed',
      },
    },
    hex: '151700000012066f726465727300000001c0843d01010001e8070101',
  },
  DELETE_GROUP: { fields: { requestId: 19, group: 'till' }, hex: '1606000000130474696c6c' },
  SETTLE_HELD: {
    fields: { requestId: 20, group: 'till', topic: 'orders', how: 'dead-letter' },
    hex: '170e000000140474696c6c066f726465727301',
  },
  RESEND_DEAD_LETTERS: {
    fields: { requestId: 21, group: 'till', messageIds: ['a1b2c3d4e5f60718-1-70001', 'ffeeddccbbaa9988-0-0'] },
    hex: `
      1835000000150474696c6c0218613162326333643465356636303731382d312d37303030311466666565646463636262
      6161393938382d302d30
    `,
  },
  PURGE_DEAD_LETTERS: { fields: { requestId: 22, group: 'till', messageIds: [] }, hex: '1907000000160474696c6c00' },
  RECALL: {
    fields: { requestId: 23, topic: 'orders', recallHandle },
    hex: '1a2a00000017066f7264657273216d776d3070686e347e613162326333643465356636303731382d312d3730303030',
  },
  LIST_DELAYED: {
    fields: { requestId: 24, topic: 'orders', after: '', countMax: 100 },
    hex: '1b0a00000018066f72646572730064',
  },
  PREPARE: {
    fields: {
      requestId: 25,
      transactionId,
      producerGroup: 'shop',
      checkAfterMs: 30_000,
      topic: 'orders',
      baseSequence: 2,
      messageCount: 1,
      messages,
    },
    hex: '1c2800000019e1e2e3e4e5e6e7e80473686f70b0ea01066f726465727302010d000080bcd9f29e3468656c6c6f',
  },
  END_TRANSACTION: {
    fields: { requestId: 26, transactionId, producerGroup: 'shop', outcome: 'rollback', messageCount: 3 },
    hex: '1d100000001ae1e2e3e4e5e6e7e80473686f700103',
  },
  REGISTER_PRODUCER: { fields: { requestId: 27, producerGroup: 'shop' }, hex: '1e060000001b0473686f70' },
  UNREGISTER_PRODUCER: { fields: { requestId: 28, producerGroup: 'shop' }, hex: '1f060000001c0473686f70' },
  LIST_TRANSACTIONS: {
    fields: { requestId: 29, producerGroup: '', after: transactionId, countMax: 100 },
    hex: '200c0000001d0001e1e2e3e4e5e6e7e864',
  },
  REPLY: {
    fields: { requestId: 30, replyTo: 'c0ffee', correlationId: 'q-17', message: messages },
    hex: '211b0000001e0663306666656504712d31370d000080bcd9f29e3468656c6c6f',
  },
  QUERY_TRACE: {
    fields: {
      requestId: 31,
      topic: 'orders',
      messageId: 'a1b2c3d4e5f60718-1-70001',
      key: undefined,
      fromMs: 0,
      toMs: Number.MAX_SAFE_INTEGER,
      after: undefined,
      messageCountMax: 10,
    },
    hex: '222e0000001f066f72646572730118613162326333643465356636303731382d312d37303030310000ffffffffffffff0f000a',
  },
  FOLLOW: {
    fields: {
      requestId: 32,
      subscriptionId: 2,
      topics: ['orders', '__proto__'],
      positions: [{ topic: 'orders', queueId: 3, position: { epoch: 0x89abcdef, offset: 1_002 } }],
      withProgress: true,
    },
    hex: '2324000000200202066f7264657273095f5f70726f746f5f5f01066f726465727303efcdab89ea0701',
  },
  POSITIONS: {
    fields: { subscriptionId: 1, positions: [{ queueId: 3, position: { epoch: 0x89abcdef, offset: 1_002 } }] },
    hex: '2409000000010103efcdab89ea07',
  },
  DESCRIBE_RELAY: { fields: { requestId: 40 }, hex: '250100000028' },
  LIST_CONNECTIONS: {
    fields: { requestId: 41, after: 'c0ffee', containing: 'till', countMax: 50 },
    hex: '260e00000029066330666665650474696c6c32',
  },
  CLOSE_CONNECTION: { fields: { requestId: 42, clientId: 'c0ffee' }, hex: '27080000002a06633066666565' },

  WELCOME: {
    fields: {
      version: 1,
      relayId: 'relay-1',
      heartbeatMs: 25_000,
      memberGraceMs: 5_000,
      bodyBytesMax: 1_048_576,
      frameBytesMax: 4_194_304,
      batchMessageCountMax: 16_384,
      publishBytesInFlightMax: 16_777_216,
      leaseMsMin: 1_000,
      leaseMsMax: 43_200_000,
      waitMsMax: 20_000,
    },
    hex: '4025000000010772656c61792d31a8c30188278080408080800280800180808008e80780dccc14a09c01',
  },
  PONG: { fields: { nonce: 0xdeadbeef }, hex: '4104000000efbeadde' },
  ERROR: {
    fields: { requestId: 8, code: 206, retryAfterMs: 0, message: 'topic ‘orders’ has queues 0 to 2' },
    hex: '422900000008ce000024746f70696320e280986f7264657273e280992068617320717565756573203020746f2032',
  },
  PUBLISHED: {
    fields: {
      requestId: 300,
      duplicate: false,
      isRelaxed: true,
      storedMs: 1_795_000_000_123,
      segments: [
        { queueId: 3, epoch: 0x89abcdef, offset: 1_000, count: 2 },
        { queueId: 0, epoch: 1, offset: Number.MAX_SAFE_INTEGER, count: 1 },
        { queueId: 0, epoch: 0, offset: 0, count: 1 },
      ],
      scheduled: [1_795_000_090_000],
    },
    hex: `
      432f000000ac020001fbbcd9f29e340303efcdab89e807020001000000ffffffffffffff0f01000000000000010190fb
      def29e34
    `,
  },
  SUBSCRIBED: {
    fields: {
      requestId: 2,
      subscriptionId: 1,
      messageType: 'FIFO',
      leaseMs: 30_000,
      positions: [{ queueId: 0, position: { epoch: 1, offset: 0 } }],
    },
    hex: '440d000000020101b0ea0101000100000000',
  },
  DELIVER: {
    fields: {
      subscriptionId: 1,
      queueId: 3,
      leaseId: 4_294_967_297,
      attempt: 2,
      leaseMs: 30_000,
      next: { epoch: 0x89abcdef, offset: 1_002 },
      record: fromHex(goldenRecord.whole),
    },
    hex: `
      45d60000000103818080801002b0ea01efcdab89ea07d7de9de801010200e8030000000000007b5e56eea1010000efcd
      ab890300000002000000a1b2c3d4e5f607180100000070110100000000000400000000000000ffeeddccbbaa99880000
      000000000000000000000100000002000000872d52e00000000000000000000000001a0000002f000000f395f5519a09
      5a21f395f55119050180bcd9f29e3404706169640a637573746f6d65722d383114040380bcd9f29e340a637573746f6d
      65722d393215040081bcd9f29e340a637573746f6d65722d383333
    `,
  },
  DONE: { fields: { requestId: 4, failures: [{ index: 1, code: 400 }] }, hex: '46050000000401019001' },
  RECEIVED: { fields: { requestId: 7, messageCount: 16 }, hex: '47020000000710' },
  PULLED: {
    fields: {
      requestId: 8,
      from: { epoch: 0x89abcdef, offset: 1_000 },
      next: { epoch: 0x89abcdef, offset: 1_002 },
      minOffset: 0,
      maxOffset: 5_000,
      records: [fromHex(goldenRecord.selection), new Uint8Array(0)],
    },
    hex: `
      48c000000008efcdab89e807efcdab89ea0700882702ac019fe0bff901030200e8030000000000007b5e56eea1010000
      efcdab890200000002000000a1b2c3d4e5f607180100000070110100000000000400000000000000ffeeddccbbaa9988
      0000000000000000000000000100000001000000872d52e000000000000000001a000000f395f551f395f55100000000
      0200000019050180bcd9f29e3404706169640a637573746f6d65722d383115040081bcd9f29e340a637573746f6d6572
      2d38333300
    `,
  },
  GAP: {
    fields: { subscriptionId: 1, queueId: 3, expected: { epoch: 1, offset: 5 }, next: { epoch: 2, offset: 1_000 } },
    hex: '490d0000000103010000000502000000e807',
  },
  MESSAGES: {
    fields: { requestId: 9, messages: [{ topic: 'orders', queueId: 3, record: fromHex(goldenRecord.selection) }] },
    hex: `
      4ab80000000901066f726465727303ac019fe0bff901030200e8030000000000007b5e56eea1010000efcdab89020000
      0002000000a1b2c3d4e5f607180100000070110100000000000400000000000000ffeeddccbbaa998800000000000000
      00000000000100000001000000872d52e000000000000000001a000000f395f551f395f5510000000002000000190501
      80bcd9f29e3404706169640a637573746f6d65722d383115040081bcd9f29e340a637573746f6d65722d383333
    `,
  },
  TOPICS: {
    fields: { requestId: 11, topics: [{ topic: 'orders', config, messageCount: 5_000, delayedCount: 2 }], more: true },
    hex: '4b1b0000000b01066f7264657273080180a8cc7b000080b899290a0188270201',
  },
  TOPIC: {
    fields: {
      requestId: 12,
      topic: 'orders',
      config,
      delayedCount: 2,
      queues: [{ queueId: 0, epoch: 1, minOffset: 0, maxOffset: 5_000, storedBytes: 1_000_000 }],
      groups: ['till', 'audit'],
    },
    hex: `
      4c2f0000000c066f7264657273080180a8cc7b000080b899290a0102010001000000008827c0843d020474696c6c0561
      75646974
    `,
  },
  GROUPS: {
    fields: { requestId: 15, groups: [{ group: 'till', memberCount: 3, backlog: 17, isPaused: true }], more: false },
    hex: '4d0b0000000f010474696c6c03110100',
  },
  GROUP: {
    fields: {
      requestId: 16,
      group: 'till',
      config: {
        attemptCountMax: 3,
        retry: { kind: 'schedule', delaysMs: [1_000, 60_000] },
        exhausted: 'dead-letter',
        isPaused: true,
        inFlightMax: 0,
        inFlightPerMemberMax: 100,
      },
      rate: { deliveredPerSecond: 12_500, ackedPerSecond: 12_000 },
      members: [
        {
          memberId,
          topic: 'orders',
          mode: 'CLUSTERING',
          filterKind: 'TAG',
          filter: '*',
          consumerName: '',
          clientId: 'c0ffee',
          clientName: 'till 7',
          peer: '127.0.0.1:5000',
          inFlight: 2,
        },
      ],
      queues: [
        {
          topic: 'orders',
          queueId: 3,
          ackFloor: 990,
          nextOffset: 1_002,
          maxOffset: 1_010,
          inFlight: 2,
          waitingForRetry: 1,
          held: 1,
          backlog: 11,
          oldestStoredMs: 1_795_000_000_123,
        },
      ],
    },
    hex: `
      4e62000000100474696c6c030002e807e0d40300010064d461e05d010102030405060708066f72646572730000012a00
      066330666665650674696c6c20370e3132372e302e302e313a353030300201066f726465727303de07ea07f207020101
      0bfbbcd9f29e34
    `,
  },
  REVOKED: {
    fields: { subscriptionId: 1, code: 203, message: 'topic ‘orders’ was deleted' },
    hex: '4f2200000001cb001e746f70696320e280986f7264657273e28099207761732064656c65746564',
  },
  STOPPING: { fields: { retryAfterMs: 1_500 }, hex: '5002000000dc0b' },
  RESET: {
    fields: { subscriptionId: 1, queueId: 3, position: { epoch: 0x89abcdef, offset: 500 } },
    hex: '51080000000103efcdab89f403',
  },
  DEAD_LETTERS: { fields: { requestId: 21, messageCount: 1_000, more: true }, hex: '520400000015e80701' },
  RECALLED: {
    fields: { requestId: 23, messageId: 'a1b2c3d4e5f60718-1-70000' },
    hex: '531a0000001718613162326333643465356636303731382d312d3730303030',
  },
  DELAYED: {
    fields: {
      requestId: 24,
      messages: [
        { recallHandle, topic: 'orders', deliverMs: 1_795_000_090_000, record: fromHex(goldenExpiringRecord.selection) },
      ],
      more: false,
    },
    hex: `
      54b60000001801216d776d3070686e347e613162326333643465356636303731382d312d3730303030066f7264657273
      90fbdef29e3482015fb0b2fb01060100e8030000000000007b5e56eea1010000efcdab890200000002000000a1b2c3d4
      e5f6071801000000701101000000000003000000000000000000000000000000000000000d00000060ea00000060fecd
      00000000020000000c800080bcd9f29e34e0d4033014a00280bcd9f29e3490fbdef29e3480c0f9ef0c3200
    `,
  },
  TRANSACTION_ENDED: {
    fields: {
      requestId: 26,
      outcome: 'commit',
      duplicate: true,
      segments: [
        { topic: 'orders', queueId: 3, epoch: 0x89abcdef, offset: 1_002, count: 2 },
        { topic: 'bills', queueId: 0, epoch: 0, offset: 0, count: 1 },
      ],
      scheduled: [1_795_000_090_000],
    },
    hex: '55270000001a000102066f726465727303efcdab89ea07020562696c6c73000000000000010190fbdef29e34',
  },
  CHECK_TRANSACTION: {
    fields: {
      transactionId,
      producerGroup: 'shop',
      checkCount: 2,
      preparedMs: 1_795_000_000_123,
      messages: [{ topic: 'orders', record: fromHex(goldenExpiringRecord.selection) }],
    },
    hex: `
      56a0000000e1e2e3e4e5e6e7e80473686f7002fbbcd9f29e3401066f726465727382015fb0b2fb01060100e803000000
      0000007b5e56eea1010000efcdab890200000002000000a1b2c3d4e5f607180100000070110100000000000300000000
      0000000000000000000000000000000d00000060ea00000060fecd00000000020000000c800080bcd9f29e34e0d40330
      14a00280bcd9f29e3490fbdef29e3480c0f9ef0c32
    `,
  },
  TRANSACTIONS: {
    fields: {
      requestId: 29,
      transactions: [
        {
          transactionId,
          producerGroup: 'shop',
          preparedMs: 1_795_000_000_123,
          checkCount: 2,
          messageCount: 3,
          byteCount: 1_000,
          topics: ['orders', 'bills'],
        },
      ],
      more: true,
    },
    hex: '57280000001d01e1e2e3e4e5e6e7e80473686f70fbbcd9f29e340203e80702066f72646572730562696c6c7301',
  },
  REPLIED: {
    fields: { correlationId: 'q-17', message: messages },
    hex: '581300000004712d31370d000080bcd9f29e3468656c6c6f',
  },
  TRACE: {
    fields: {
      requestId: 31,
      timelines: [
        {
          topic: 'orders',
          queueId: 3,
          offset: 1_000,
          messageId: 'a1b2c3d4e5f60718-1-70001',
          storedMs: 1_795_000_000_120,
          traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
          isTraced: true,
          events: [
            { kind: 'stored', atMs: 1_795_000_000_123, costMs: 3, group: '', clientId: 'c0ffee', attempt: 0, delayMs: 0 },
            {
              kind: 'retried',
              atMs: 1_795_000_000_200,
              costMs: 50,
              group: 'till',
              clientId: 'c0de',
              attempt: 1,
              delayMs: 10_000,
            },
          ],
        },
      ],
    },
    hex: `
      598c0000001f01066f726465727303e80718613162326333643465356636303731382d312d3730303031f8bcd9f29e34
      3730302d34626639326633353737623334646136613363653932396430653065343733362d3030663036376161306261
      39303262372d3031010202fbbcd9f29e34030006633066666565000005c8bdd9f29e34320474696c6c04633064650190
      4e
    `,
  },
  FOLLOWING: { fields: { requestId: 32, subscriptionId: 2, sequence: 40 }, hex: '5a03000000200228' },
  CHANGES: {
    fields: {
      subscriptionId: 2,
      sequence: 41,
      isCurrent: true,
      lag: 7,
      changes: [
        {
          kind: 'record',
          topic: 'orders',
          queueId: 3,
          offset: 1_002,
          group: '',
          value: fromHex(goldenExpiringRecord.selection),
        },
        { kind: 'progress-deleted', topic: 'orders', queueId: 3, offset: 0, group: 'till', value: new Uint8Array(0) },
      ],
    },
    hex: `
      5ba5000000022901070203066f726465727303ea070082015fb0b2fb01060100e8030000000000007b5e56eea1010000
      efcdab890200000002000000a1b2c3d4e5f6071801000000701101000000000003000000000000000000000000000000
      000000000d00000060ea00000060fecd00000000020000000c800080bcd9f29e34e0d4033014a00280bcd9f29e3490fb
      def29e3480c0f9ef0c3208066f726465727303000474696c6c00
    `,
  },
  RELAY: {
    fields: {
      requestId: 40,
      version: '0.1.0',
      startedMs: 1_795_000_000_000,
      settings: [{ name: 'port', value: '7600', meaning: 'where it listens' }],
      figures: [{ name: 'connections', value: 3 }, { name: 'messagesInTotal', value: 1_000_000 }],
    },
    hex: `
      5c4a0000002805302e312e3080bcd9f29e340104706f72740437363030107768657265206974206c697374656e73020b
      636f6e6e656374696f6e73030f6d65737361676573496e546f74616cc0843d
    `,
  },
  CONNECTIONS: {
    fields: {
      requestId: 41,
      connections: [{
        clientId: 'c0ffee', clientName: 'till 1', peer: '127.0.0.1:50000', sinceMs: 1_795_000_000_000, streamCount: 2,
        requestsInHand: 1, bufferedBytes: 300,
      }],
      more: true,
    },
    hex: '5d2b0000002901066330666665650674696c6c20310f3132372e302e302e313a353030303080bcd9f29e340201ac0201',
  },
}
