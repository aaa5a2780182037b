// What the console says on every page, in English and Chinese. What one page says stands in that page.

import { formatCount, textsOf } from '../shared/language.ts'

const en = {
  title: 'PocketMQ console',
  nav: 'Pages',
  pages: {
    overview: 'Overview', topics: 'Topics', groups: 'Groups', messages: 'Messages', 'dead-letters': 'Dead letters',
    delayed: 'Delayed', trace: 'Trace', connections: 'Connections', settings: 'Settings',
  },
  link: { connecting: 'connecting', connected: 'connected', waiting: 'out of reach', closed: 'closed' },
  away: 'The relay is out of reach: what is shown is of before. It is tried again by itself.',
  signIn: {
    lead: (host: string) => `The relay at ${host} asks who you are.`,
    token: 'Token',
    go: 'Sign in',
    out: 'Sign out',
    connecting: (host: string) => `Connecting to ${host} …`,
    unreachable: (host: string) => `The relay at ${host} can’t be reached.`,
    again: 'Try again',
  },
  confirm: { type: (word: string) => `Type “${word}” to go on`, cancel: 'Cancel' },
  listing: {
    loading: 'Loading …', previous: 'Previous', next: 'Next', pages: 'Pages of the list',
    nothingFound: (text: string) => `Nothing holds “${text}”.`,
    total: (count: number) => `${formatCount(count)} in all`,
  },
  range: {
    label: 'Time', from: 'From', to: 'Until',
    spans: {
      minutes: 'last 15 minutes', hour: 'last hour', day: 'last day', week: 'last week', all: 'all there is',
      between: 'between …',
    },
  },
  loading: 'Loading …',
  refresh: 'Refresh',
  yes: 'yes',
  no: 'no',
  none: '–',
}

const zh: typeof en = {
  title: 'PocketMQ 控制台',
  nav: '页面',
  pages: {
    overview: '总览', topics: '主题', groups: '消费组', messages: '消息', 'dead-letters': '死信', delayed: '延时消息',
    trace: '轨迹', connections: '连接', settings: '设置',
  },
  link: { connecting: '连接中', connected: '已连接', waiting: '无法到达', closed: '已关闭' },
  away: '中继不可达：所示为之前的数据，正在自动重试。',
  signIn: {
    lead: (host) => `${host} 的中继需要验证身份。`,
    token: '令牌',
    go: '登录',
    out: '退出登录',
    connecting: (host) => `正在连接 ${host} …`,
    unreachable: (host) => `无法到达 ${host} 的中继。`,
    again: '重试',
  },
  confirm: { type: (word) => `请输入“${word}”以继续`, cancel: '取消' },
  listing: {
    loading: '加载中 …', previous: '上一页', next: '下一页', pages: '列表分页',
    nothingFound: (text) => `没有包含“${text}”的条目。`,
    total: (count) => `共 ${formatCount(count)} 条`,
  },
  range: {
    label: '时间', from: '从', to: '到',
    spans: { minutes: '最近 15 分钟', hour: '最近一小时', day: '最近一天', week: '最近一周', all: '全部', between: '自定 …' },
  },
  loading: '加载中 …',
  refresh: '刷新',
  yes: '是',
  no: '否',
  none: '–',
}

/** The texts of the language shown. */
export function texts(): typeof en {
  return textsOf(en, zh)
}
