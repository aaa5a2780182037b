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
const config = { queueCount: 8, messageType: 'FIFO', retentionMs: 259_200_000, retentionBytes: 0 } as const

interface GoldenMessage {
  readonly headers: MessageHeaders
  readonly body: Uint8Array
  readonly hex: string
}

/** The first and the second message of a batch. */
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
      messages,
    },
    hex: '0324000000ac02066f7264657273a1b2c3d4e5f6071801f0a204010d000080bcd9f29e3468656c6c6f',
  },
  SUBSCRIBE: {
    fields: {
      requestId: 2,
      subscriptionId: 1,
      memberId,
      group: 'till',
      topic: 'orders',
      mode: 'BROADCASTING',
      filter: 'paid || shipped',
      start: { kind: 'timestamp', timestampMs: 1_795_000_000_000 },
      leaseMs: 30_000,
      positions: [{ queueId: 3, position: { epoch: 0x89abcdef, offset: 1_002 } }],
    },
    hex: `
      0439000000020101020304050607080474696c6c066f7264657273010f70616964207c7c20736869707065640280bcd9
      f29e34b0ea010103efcdab89ea07
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
      filter: '*',
      messageCountMax: 100,
      byteCountMax: 65_536,
      waitMs: 0,
    },
    hex: '0b1700000008066f72646572730303efcdab89e807012a6480800400',
  },
  QUERY: {
    fields: {
      requestId: 9,
      topic: 'orders',
      messageId: undefined,
      key: 'order-4711',
      fromMs: 0,
      toMs: Number.MAX_SAFE_INTEGER,
      messageCountMax: 64,
    },
    hex: '0c1f00000009066f726465727300010a6f726465722d3437313100ffffffffffffff0f40',
  },
  CREATE_TOPIC: {
    fields: {
      requestId: 10,
      topic: 'orders',
      options: { queueCount: 8, messageType: 'FIFO', retentionMs: undefined, retentionBytes: undefined },
    },
    hex: '0d0e0000000a066f7264657273010801010000',
  },
  LIST_TOPICS: {
    fields: { requestId: 11, after: '', containing: 'ord', countMax: 100 },
    hex: '0e070000000b00036f726464',
  },
  DESCRIBE_TOPIC: { fields: { requestId: 12, topic: '__proto__' }, hex: '0f0b0000000c095f5f70726f746f5f5f' },
  DELETE_TOPIC: { fields: { requestId: 13, topic: 'orders' }, hex: '10080000000d066f7264657273' },
  CONFIGURE_GROUP: {
    fields: { requestId: 14, group: 'till', options: { attemptCountMax: 3, retryScheduleMs: [1_000, 60_000] } },
    hex: '110f0000000e0474696c6c01030102e807e0d403',
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
      storedMs: 1_795_000_000_123,
      segments: [
        { queueId: 3, epoch: 0x89abcdef, offset: 1_000, count: 2 },
        { queueId: 0, epoch: 1, offset: Number.MAX_SAFE_INTEGER, count: 1 },
      ],
    },
    hex: '4320000000ac0200fbbcd9f29e340203efcdab89e807020001000000ffffffffffffff0f01',
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
    fields: { requestId: 11, topics: [{ topic: 'orders', config, messageCount: 5_000 }], more: true },
    hex: '4b130000000b01066f7264657273080180a8cc7b00882701',
  },
  TOPIC: {
    fields: {
      requestId: 12,
      topic: 'orders',
      config,
      queues: [{ queueId: 0, epoch: 1, minOffset: 0, maxOffset: 5_000, storedBytes: 1_000_000 }],
      groups: ['till', 'audit'],
    },
    hex: '4c270000000c066f7264657273080180a8cc7b00010001000000008827c0843d020474696c6c056175646974',
  },
  GROUPS: {
    fields: { requestId: 15, groups: [{ group: 'till', memberCount: 3, backlog: 17 }], more: false },
    hex: '4d0a0000000f010474696c6c031100',
  },
  GROUP: {
    fields: {
      requestId: 16,
      group: 'till',
      config: { attemptCountMax: 3, retryScheduleMs: [1_000, 60_000] },
      members: [
        {
          memberId,
          topic: 'orders',
          mode: 'CLUSTERING',
          filter: '*',
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
          backlog: 11,
        },
      ],
    },
    hex: `
      4e50000000100474696c6c0302e807e0d403010102030405060708066f726465727300012a066330666665650674696c
      6c20370e3132372e302e302e313a353030300201066f726465727303de07ea07f20702010b
    `,
  },
  REVOKED: {
    fields: { subscriptionId: 1, code: 203, message: 'topic ‘orders’ was deleted' },
    hex: '4f2200000001cb001e746f70696320e280986f7264657273e28099207761732064656c65746564',
  },
  STOPPING: { fields: { retryAfterMs: 1_500 }, hex: '5002000000dc0b' },
}
