// A chart of the last minutes, drawn by uPlot: one line per series, over time. The data is a ring of fixed size, so a chart
// that runs for days is as large as one that runs for a minute.

import './live-chart.css'
import 'uplot/dist/uPlot.min.css'
import type { JSX } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import UPlot from 'uplot'
import { formatTime, language } from './language.ts'
import { isDark } from './theme.ts'

/** What a chart shows. `add` may be called whether a chart is on the page or not. */
export interface ChartData {
  /** Seconds since 1970, then the values of each series. */
  readonly columns: number[][]
  add(timeMs: number, values: readonly number[]): void
  /** Calls `changed` when there are new values; the function given ends that. */
  listen(changed: () => void): () => void
}

export function createChartData(seriesCount: number, pointCountMax: number): ChartData {
  const columns = Array.from({ length: seriesCount + 1 }, (): number[] => [])
  const listeners = new Set<() => void>()
  return {
    columns,
    add(timeMs, values) {
      for (const [index, column] of columns.entries()) {
        column.push(index === 0 ? timeMs / 1000 : values[index - 1] ?? 0)
        if (column.length > pointCountMax) column.shift()
      }
      for (const changed of listeners) changed()
    },
    listen(changed) {
      listeners.add(changed)
      return () => void listeners.delete(changed)
    },
  }
}

export interface LiveChartProps {
  readonly data: ChartData
  readonly series: readonly { readonly label: string; readonly colour: `--${string}` }[]
  /** What the chart shows, for who can't see it; the figures beside it say the same. */
  readonly label: string
  readonly spanMs: number
  readonly height?: number
  readonly format?: (value: number) => string
}

export function LiveChart({ data, series, label, spanMs, height = 180, format = String }: LiveChartProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null)
  const labels = series.map((one) => one.label).join('\n')
  const looks = `${isDark.value} ${language.value}`
  useEffect(() => {
    const place = box.current
    if (place === null) return
    const chart = new UPlot(optionsOf({ place, series, spanMs, height, format }), data.columns as UPlot.AlignedData, place)
    const stop = data.listen(() => chart.setData(data.columns as UPlot.AlignedData))
    const resized = new ResizeObserver(() => chart.setSize({ width: place.clientWidth, height }))
    resized.observe(place)
    return () => {
      stop()
      resized.disconnect()
      chart.destroy()
    }
  }, [data, labels, spanMs, height, looks])
  return (
    <figure class="live-chart">
      <figcaption>
        {series.map((one) => (
          <span key={one.label} class="live-chart-key">
            <i class={`live-chart-line colour${one.colour}`} />
            {one.label}
          </span>
        ))}
      </figcaption>
      <div ref={box} role="img" aria-label={label} />
    </figure>
  )
}

function optionsOf({ place, series, spanMs, height, format }: {
  place: HTMLElement
  series: LiveChartProps['series']
  spanMs: number
  height: number
  format: (value: number) => string
}): UPlot.Options {
  const style = getComputedStyle(place)
  const [ink, line] = [style.getPropertyValue('--ink-soft'), style.getPropertyValue('--line')]
  const font = `12px ${style.fontFamily}`
  const axis: UPlot.Axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { show: false }, font }
  return {
    width: place.clientWidth,
    height,
    cursor: { show: false },
    legend: { show: false },
    scales: {
      x: { time: true, range: (_chart, _min, max) => [(max ?? 0) - spanMs / 1000, max ?? 0] },
      y: { range: (_chart, _min, max) => [0, Math.max(5, (max ?? 0) * 1.1)] },
    },
    axes: [
      { ...axis, space: 60, size: 32, values: (_chart, ticks) => ticks.map((seconds) => formatTime(seconds * 1000)) },
      { ...axis, size: 52, values: (_chart, ticks) => ticks.map((value) => format(value)) },
    ],
    series: [
      {},
      ...series.map(({ label, colour }, index): UPlot.Series => {
        const stroke = style.getPropertyValue(colour)
        const line = { label, stroke, width: 2, points: { show: false } }
        // Two that are alike lie on each other: through the dashes the one below is seen.
        return index === 0 ? { ...line, fill: `${stroke}22` } : { ...line, dash: [7, 5] }
      }),
    ],
  }
}
