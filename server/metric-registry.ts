// Prometheus metrics that are filled when a scrape asks, from numbers that are counted elsewhere: prom-client's own
// metrics are the ones to be counted in.

import { Counter, Gauge, Histogram as PrometheusHistogram, Registry } from 'prom-client'
import type { Histogram } from '../core/broker/stats.ts'

export type Labels = Readonly<Record<string, string>>

/** Gives one series its value. */
export type Sample<V> = (value: V, labels?: Labels) => void

export interface MetricForm<V> {
  readonly name: string
  readonly help: string
  readonly labelNames?: readonly string[]
  /** Called once per scrape. */
  readonly fill: (sample: Sample<V>) => void
}

export class MetricRegistry {
  readonly #registry = new Registry()

  get contentType(): string {
    return this.#registry.contentType
  }

  counter({ name, help, labelNames = [], fill }: MetricForm<number>): void {
    const metric = new Counter({ name, help, labelNames, registers: [this.#registry] })
    const collect = (): void => {
      metric.reset()
      fill((value, labels = {}) => metric.inc(labels, value))
    }
    Object.assign(metric, { collect })
  }

  gauge({ name, help, labelNames = [], fill }: MetricForm<number>): void {
    const metric = new Gauge({ name, help, labelNames, registers: [this.#registry] })
    const collect = (): void => {
      metric.reset()
      // An infinite rest of a store is none that could be drawn.
      fill((value, labels = {}) => Number.isFinite(value) && metric.set(labels, value))
    }
    Object.assign(metric, { collect })
  }

  histogram(form: MetricForm<Histogram>): void {
    this.#registry.registerMetric(new FilledHistogram(form))
  }

  /** The text of a scrape. */
  text(): Promise<string> {
    return this.#registry.metrics()
  }
}

type HistogramValues = Awaited<ReturnType<PrometheusHistogram['get']>>

class FilledHistogram extends PrometheusHistogram {
  readonly #form: MetricForm<Histogram>

  constructor(form: MetricForm<Histogram>) {
    const { name, help, labelNames = [] } = form
    super({ name, help, labelNames, registers: [] })
    this.#form = form
  }

  override get(): Promise<HistogramValues> {
    const { name, help, fill } = this.#form
    const values: HistogramValues['values'] = []
    fill(({ bounds, counts, sum }, labels = {}) => {
      let cumulative = 0
      counts.forEach((count, index) => {
        cumulative += count
        const le = bounds[index] ?? '+Inf'
        values.push({ metricName: `${name}_bucket`, labels: { ...labels, le }, value: cumulative })
      })
      values.push({ metricName: `${name}_sum`, labels, value: sum })
      values.push({ metricName: `${name}_count`, labels, value: cumulative })
    })
    const { collect, aggregator } = this as unknown as HistogramValues
    const type = 'histogram' as unknown as HistogramValues['type']
    return Promise.resolve({ name, help, type, aggregator, collect, values })
  }

  /** What the registry asks for instead of `get`. */
  getForPromString(): Promise<HistogramValues> {
    return this.get()
  }
}
