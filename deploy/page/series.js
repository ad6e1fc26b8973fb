// A window and its nearest neighbours, drawn over each other channel by channel.

import { ink } from "./colour.js";

export const TOGETHER = 6; // channels drawn at a time
const ROOM = 560; // pixels that the channels share, within what one of them needs and can use

export class SeriesPlot {
  constructor(element) {
    this.element = element;
    this.chart = null;
    new ResizeObserver(() => this.chart?.resize()).observe(element);
  }

  clear() {
    this.chart?.clear();
    this.element.style.height = "0";
  }

  /** Makes the line of a rank stand out, or no longer. */
  highlight(rank, on) {
    this.chart?.dispatchAction({ type: on ? "highlight" : "downplay", seriesName: String(rank) });
  }

  /** shown: [{name, window, colour}], the chosen one first. channels: names; from: the first that is drawn; rate: samples a second or null. */
  draw(shown, channels, from, rate) {
    const part = channels.slice(from, from + TOGETHER);
    const high = Math.max(92, Math.min(220, ROOM / part.length));
    this.element.style.height = `${part.length * high + 20}px`;
    this.chart ??= globalThis.echarts.init(this.element, null, { renderer: "canvas" });
    this.chart.resize();
    const longest = Math.max(...shown.map((one) => one.window.steps));
    const last = rate ? (longest - 1) / rate : longest - 1;
    this.chart.setOption({
      animation: false,
      grid: part.map((_, at) => ({ left: 46, right: 8, top: 24 + at * high, height: high - 36 })),
      xAxis: part.map((_, at) => ({
        gridIndex: at, type: "value", min: 0, max: last || 1, splitLine: { show: false }, axisTick: { show: false },
        axisLine: { onZero: false, lineStyle: { color: ink("line") } },
        axisLabel: { show: at === part.length - 1, color: ink("muted"), fontSize: 11, showMaxLabel: false },
        ...(at === part.length - 1 ? { name: rate ? "seconds" : "steps", nameLocation: "end", nameTextStyle: { color: ink("muted"), align: "right", verticalAlign: "top", padding: [7, 0, 0, 0] }, nameGap: 0 } : {}),
      })),
      yAxis: part.map((name, at) => ({
        gridIndex: at, type: "value", scale: true, splitNumber: 2, name, nameLocation: "end", nameGap: 9,
        nameTextStyle: { color: ink("ink"), align: "left", fontSize: 11, fontWeight: 600, padding: [0, 0, 0, -42] },
        axisLabel: { color: ink("muted"), fontSize: 10, formatter: (value) => String(Number(value.toPrecision(3))) }, splitLine: { lineStyle: { color: ink("soft") } },
      })),
      axisPointer: { link: [{ xAxisIndex: "all" }], lineStyle: { color: ink("muted") }, label: { show: false } },
      tooltip: { trigger: "axis", renderMode: "richText", showContent: false },
      series: part.flatMap((_, at) => shown.map((one, rank) => ({
        type: "line", id: `${at} ${rank}`, name: String(rank), xAxisIndex: at, yAxisIndex: at, showSymbol: false, silent: true, z: rank ? 2 : 5,
        lineStyle: { color: one.colour, width: rank ? 1.2 : 2.4, opacity: rank ? 0.85 : 1 },
        emphasis: { lineStyle: { width: 2.4, color: ink("good"), opacity: 1 } },
        data: Array.from(one.window.values[from + at], (value, step) => [rate ? step / rate : step, Number.isNaN(value) ? "-" : value]),
      }))).reverse(),
    }, true);
  }
}
