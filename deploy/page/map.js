// The map: a point for each window where its embedding lies in the plane. Chosen by a click near it or by the arrow keys.

import { ink } from "./colour.js";

const NEAR = 18; // pixels from a point that a click may miss it by
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Map2d {
  /** choose(row) is called with the window that somebody pointed at. */
  constructor(element, choose) {
    this.element = element;
    this.choose = choose;
    this.points = [];
    this.shown = [];
    this.row = null;
    this.chart = null;
    element.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.chart?.resize()).observe(element);
  }

  /** points: [{x, y, name, colour, shape}]; hidden(row): whether its label is switched off; says: of the axes. */
  draw(points, hidden, says) {
    this.points = points;
    this.shown = points.map((_, row) => row).filter((row) => !hidden(row));
    this.ends = { x: ends(points, "x"), y: ends(points, "y") };
    if (!this.chart) {
      this.chart = globalThis.echarts.init(this.element, null, { renderer: "canvas" });
      this.chart.getZr().on("click", (event) => this.#click(event));
    }
    const size = points.length > 1500 ? 5 : points.length > 300 ? 7 : 10;
    const axis = (name, along) => ({
      type: "value", name, nameLocation: "middle", nameGap: 8, scale: true, min: this.ends[along][0], max: this.ends[along][1],
      axisLabel: { show: false }, axisTick: { show: false }, nameTextStyle: { color: ink("muted"), fontSize: 12 },
      axisLine: { show: true, onZero: false, lineStyle: { color: ink("line") } }, splitLine: { show: true, lineStyle: { color: ink("soft") } },
    });
    this.chart.setOption({
      animation: false,
      grid: { left: 26, right: 10, top: 10, bottom: 26 },
      xAxis: axis(says[0], "x"),
      yAxis: axis(says[1], "y"),
      dataZoom: [0, 1].map((at) => ({ type: "inside", [at ? "yAxisIndex" : "xAxisIndex"]: 0, filterMode: "none", zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false })),
      tooltip: {
        renderMode: "richText", confine: true, backgroundColor: ink("panel"), borderColor: ink("line"), textStyle: { color: ink("ink"), fontSize: 12 },
        formatter: (said) => (said.data.row === undefined ? "" : this.points[said.data.row].name),
      },
      series: [
        {
          id: "points", type: "scatter", symbolSize: size, z: 2, emphasis: { scale: 1.5 },
          data: this.shown.map((row) => ({
            row, value: [points[row].x, points[row].y], symbol: points[row].shape,
            itemStyle: { color: points[row].colour, opacity: 0.85, borderColor: ink("panel"), borderWidth: 0.8 },
          })),
        },
        { id: "near", type: "scatter", silent: true, zlevel: 1, z: 3, symbol: "circle", symbolSize: size + 8, itemStyle: { color: "transparent", borderColor: ink("ink"), borderWidth: 1.3 }, data: [] },
        { id: "chosen", type: "scatter", silent: true, zlevel: 1, z: 4, symbol: "circle", symbolSize: size + 12, itemStyle: { color: "transparent", borderColor: ink("accent"), borderWidth: 3 }, data: [] },
      ],
    }, { replaceMerge: ["series"] });
  }

  clear() {
    this.points = [];
    this.row = null;
    this.chart?.clear();
  }

  /** Rings around a window and its neighbours. */
  mark(row, neighbours) {
    this.row = row;
    const seen = new Set(this.shown);
    const place = (at) => [this.points[at].x, this.points[at].y];
    this.chart.setOption({
      series: [
        { id: "near", data: neighbours.filter((at) => seen.has(at)).map(place) },
        { id: "chosen", data: seen.has(row) ? [place(row)] : [] },
      ],
    });
  }

  /** factor < 1 looks nearer, around the chosen window or the middle; null shows everything. */
  zoom(factor) {
    if (!this.chart) return;
    const zooms = this.chart.getOption().dataZoom;
    const middle = this.row === null ? [50, 50] : this.#share(this.row);
    zooms.forEach(({ start, end }, at) => {
      const width = factor === null ? 100 : Math.min(100, (end - start) * factor);
      const from = Math.max(0, Math.min(100 - width, (factor === null ? 50 : middle[at]) - width / 2));
      this.chart.dispatchAction({ type: "dataZoom", dataZoomIndex: at, start: from, end: from + width });
    });
  }

  /** Where the shown windows lie on the screen: [row, x, y] in pixels of the element. The axes are straight, so two conversions do. */
  #places() {
    const [left, bottom] = this.chart.convertToPixel({ gridIndex: 0 }, [this.ends.x[0], this.ends.y[0]]);
    const [right, top] = this.chart.convertToPixel({ gridIndex: 0 }, [this.ends.x[1], this.ends.y[1]]);
    const share = (row, along) => (this.points[row][along] - this.ends[along][0]) / (this.ends[along][1] - this.ends[along][0]);
    return this.shown.map((row) => [row, left + share(row, "x") * (right - left), bottom + share(row, "y") * (top - bottom)]);
  }

  #share(row) {
    return ["x", "y"].map((along) => {
      const [low, high] = this.ends[along];
      return (100 * (this.points[row][along] - low)) / (high - low);
    });
  }

  #click(event) {
    let best = { away: NEAR };
    for (const [row, x, y] of this.#places()) {
      const away = Math.hypot(x - event.offsetX, y - event.offsetY);
      if (away < best.away) best = { row, away };
    }
    if (best.row !== undefined) this.choose(best.row);
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.points.length) return;
    const arrow = ARROWS[event.key];
    const known = { "+": 0.6, "=": 0.6, "-": 1 / 0.6, 0: null };
    let next;
    if (arrow) next = this.shown.includes(this.row) ? this.#beside(arrow) : this.shown[0];
    else if (event.key === "Home") [next] = this.shown;
    else if (event.key === "End") next = this.shown.at(-1);
    else if (event.key in known) this.zoom(known[event.key]);
    else return;
    event.preventDefault();
    if (next !== undefined) this.choose(next);
  }

  /** The nearest shown point in a direction; what lies off it counts as further away. */
  #beside([right, down]) {
    const places = this.#places();
    const [, x, y] = places.find(([row]) => row === this.row);
    let best = { cost: Infinity };
    for (const [row, px, py] of places) {
      const along = (px - x) * right + (py - y) * down;
      const off = Math.abs((px - x) * down) + Math.abs((py - y) * right);
      const cost = along > 0.5 && off <= 2 * along ? along + 2 * off : Infinity;
      if (cost < best.cost) best = { cost, row };
    }
    return best.row;
  }
}

/** The ends of an axis, with room around the points. */
function ends(points, along) {
  let [low, high] = [Infinity, -Infinity];
  for (const one of points) {
    low = Math.min(low, one[along]);
    high = Math.max(high, one[along]);
  }
  const room = (high - low) * 0.05 || 1;
  return [low - room, high + room];
}
