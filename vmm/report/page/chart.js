// Charts: Plot draws, and every chart answers to pointer and keyboard in the same way. A chart is an image with a text
// alternative; arrow keys go through its points, whose words appear beside the point and are read aloud.
const kv = window.kv;
const { el, svg } = kv;

const shapes = ["circle", "square", "triangle", "diamond", "star", "cross", "wye", "plus"];
const dashes = ["none", "6 3", "2 2", "8 3 2 3", "1 3", "10 4", "4 2 1 2", "3 5"];
kv.style = (policy) => {
  const i = Math.max(0, kv.styled.indexOf(policy));
  return { color: `var(--s${i % 8})`, shape: shapes[i % 8], dash: dashes[i % 8] };
};

const symbols = () => ({
  circle: d3.symbolCircle,
  square: d3.symbolSquare2,
  triangle: d3.symbolTriangle2,
  diamond: d3.symbolDiamond2,
  star: d3.symbolStar,
  cross: d3.symbolTimes,
  wye: d3.symbolWye,
  plus: d3.symbolPlus,
});
const filled = new Set(["circle", "star", "wye"]);

kv.legend = (entries) =>
  el(
    "ul",
    { class: "legend" },
    ...entries.map(({ label, color, shape, dash, box }) => {
      const mark = svg("svg", { width: 26, height: 12, viewBox: "0 0 26 12", "aria-hidden": "true" });
      if (box) mark.append(svg("rect", { x: 4, y: 0, width: 18, height: 12, fill: color, stroke: "var(--soft)", "stroke-width": 0.5 }));
      if (dash) mark.append(svg("line", { x1: 0, x2: 26, y1: 6, y2: 6, stroke: color, "stroke-width": 2, "stroke-dasharray": dash }));
      if (shape && kv.hasCharts) {
        const path = svg("path", {
          transform: "translate(13,6)",
          fill: filled.has(shape) ? color : "none",
          stroke: color,
          "stroke-width": 1.5,
        });
        mark.append(path);
        kv.library().then(() => path.setAttribute("d", d3.symbol(symbols()[shape], 44)()));
      }
      return el("li", {}, mark, el("span", { text: label }));
    }),
  );
kv.policyLegend = (names, lines = false) =>
  kv.legend(
    names.map((name) => {
      const { color, shape, dash } = kv.style(name);
      return { label: name, color, shape, dash: lines ? dash : undefined };
    }),
  );

// A path of the curves of d3's symbols, moved to where each point lies.
class Moved {
  constructor(path) {
    this.path = path;
    this.x = this.y = 0;
  }
  moveTo(x, y) {
    this.path.moveTo(this.x + x, this.y + y);
  }
  lineTo(x, y) {
    this.path.lineTo(this.x + x, this.y + y);
  }
  arc(x, y, ...rest) {
    this.path.moveTo(this.x + x + rest[0], this.y + y); // an arc draws no line from the point before
    this.path.arc(this.x + x, this.y + y, ...rest);
  }
  rect(x, y, ...rest) {
    this.path.rect(this.x + x, this.y + y, ...rest);
  }
  closePath() {
    this.path.closePath();
  }
}

// Dots as a mark of Plot that is one element, however many they are. at(point): { x, y } in the units of the scales, and
// dy in pixels.
kv.marked = (list, shape, at, { r, stroke, fill = "none", opacity = 1, width = 1.5 }) => (_, scales) => {
  const path = d3.pathRound(2);
  const moved = new Moved(path);
  const symbol = d3.symbol(symbols()[shape], Math.PI * r * r).context(moved);
  for (const point of list) {
    const { x, y, dy = 0 } = at(point);
    [moved.x, moved.y] = [scales.x(x), scales.y(y) + dy];
    if (Number.isFinite(moved.x) && Number.isFinite(moved.y)) symbol();
  }
  return svg("path", { d: String(path), stroke, fill, "stroke-width": width, opacity, "data-dots": list.length });
};
// Those of one policy.
kv.dots = (list, policy, at, { r = 3.5, opacity = 1 } = {}) => {
  const { color, shape } = kv.style(policy);
  return kv.marked(list, shape, at, { r, stroke: color, fill: filled.has(shape) ? color : "none", opacity });
};

// Marks of one policy, as Plot's options.
kv.dotStyle = (policy) => {
  const { color, shape } = kv.style(policy);
  return {
    symbol:
      shape === "triangle"
        ? "triangle2"
        : shape === "square"
          ? "square2"
          : shape === "diamond"
            ? "diamond2"
            : shape === "cross"
              ? "times"
              : shape,
    stroke: color,
    fill: filled.has(shape) ? color : "none",
  };
};

const tip = document.getElementById("tip");
const said = document.getElementById("said");
function show(text, x, y) {
  tip.textContent = text;
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const left = x + 14 + box.width > innerWidth ? x - box.width - 14 : x + 14;
  tip.style.left = `${Math.max(4, Math.min(left, innerWidth - box.width - 4))}px`;
  tip.style.top = `${Math.max(4, Math.min(y + 14, innerHeight - box.height - 4))}px`;
}
kv.showTip = show;
kv.hideTip = () => {
  tip.hidden = true;
};
kv.say = (text) => {
  said.textContent = text;
};

// points: [{ x, y, text }] in pixels of the chart, in the order in which keys go through them.
function answer(chart, points) {
  let at = -1;
  const ring = svg("circle", { r: 7, fill: "none", stroke: "var(--focus)", "stroke-width": 2.5, visibility: "hidden" });
  chart.append(ring);
  const scale = () => chart.getBoundingClientRect().width / (chart.viewBox.baseVal.width || chart.getBoundingClientRect().width);
  function choose(i, aloud) {
    at = i;
    const point = points[i];
    const box = chart.getBoundingClientRect();
    ring.setAttribute("cx", point.x);
    ring.setAttribute("cy", point.y);
    ring.setAttribute("visibility", "visible");
    show(point.text, box.left + point.x * scale(), box.top + point.y * scale());
    if (aloud) kv.say(point.text);
  }
  function leave() {
    ring.setAttribute("visibility", "hidden");
    tip.hidden = true;
  }
  function nearest(event) {
    const box = chart.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / scale(), (event.clientY - box.top) / scale()];
    let best = -1;
    let least = 40 ** 2;
    points.forEach((point, i) => {
      const distance = (point.x - x) ** 2 + (point.y - y) ** 2;
      if (distance < least) [best, least] = [i, distance];
    });
    return best;
  }
  const follow = (event) => {
    const i = nearest(event);
    if (i >= 0) choose(i, false);
    else leave();
  };
  chart.addEventListener("pointermove", follow);
  chart.addEventListener("pointerdown", follow);
  chart.addEventListener("pointerleave", leave);
  chart.addEventListener("blur", leave);
  chart.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
    const next = event.key === "Home" ? 0 : event.key === "End" ? points.length - 1 : step === undefined ? -1 : at < 0 ? 0 : at + step;
    if (event.key === "Escape") return leave();
    if (next < 0 && step === undefined) return;
    event.preventDefault();
    if (points.length > 0) choose(Math.max(0, Math.min(points.length - 1, next)), true);
  });
}

// label: the text alternative; options(width): Plot's; items(): [{ x, y, text }] in the units of the scales. Both are
// asked for when the chart is about to be seen, when the part of the data that it `needs` is there.
kv.chart = (label, options, items, needs) => {
  const holder = el("div");
  const draw = async () => {
    try {
      await Promise.all([kv.library(), kv.need(needs)]);
    } catch (error) {
      return holder.replaceChildren(el("p", { class: "notice", text: error.message }));
    }
    const width = Math.max(260, Math.floor(holder.clientWidth || 640));
    const list = items();
    const { marks, ...given } = options(width);
    const chart = Plot.plot({ width, style: { background: "none", fontSize: "12px", color: "var(--text)" }, ...given, marks });
    chart.setAttribute("role", "img");
    chart.setAttribute("tabindex", "0");
    chart.setAttribute("aria-label", `${label} Arrow keys go through its ${list.length} points.`);
    chart.classList.add("chart");
    const [x, y] = [chart.scale("x"), chart.scale("y")];
    answer(
      chart,
      list
        .map((item) => ({ x: x.apply(item.x), y: y.apply(item.y) + (y.bandwidth ?? 0) / 2, text: item.text }))
        .filter((point) => Number.isFinite(point.x) && Number.isFinite(point.y)),
    );
    holder.replaceChildren(chart);
    if (performance.getEntriesByName("kvmux-chart").length === 0) performance.mark("kvmux-chart");
    holder.style.minHeight = "";
    delete holder.dataset.pending;
  };
  holder.style.minHeight = "120px"; // until it is drawn
  holder.dataset.pending = "yes";
  kv.lazily(holder, draw);
  kv.redraw.push([holder, draw]);
  return holder;
};
// Charts fit the window; drawn anew when its width changes.
kv.redraw = [];
let width = innerWidth;
let pending = 0;
addEventListener("resize", () => {
  if (innerWidth === width) return;
  width = innerWidth;
  clearTimeout(pending);
  pending = setTimeout(() => {
    kv.redraw = kv.redraw.filter(([holder]) => holder.isConnected);
    for (const [holder, draw] of kv.redraw) if (holder.childElementCount > 0) draw();
  }, 150);
});
