// Latencies as cumulative distributions up to the 99.9th percentile: the tail has as much room as the body.
const kv = window.kv;
const { el, words } = kv;

// The axis counts nines: 0, 90 %, 99 %, 99.9 % are equally far apart.
const nines = (share) => -Math.log10(Math.max(1e-3, 1 - share));
const ticks = [0, 0.5, 0.9, 0.99, 0.999];

// lines: [{ name, dist: { cdf, p50_ns, … } }]
function drawing(lines, label) {
  const points = lines.flatMap(({ name, dist }) => dist.cdf.filter(([at]) => at > 0).map(([at, share]) => ({ name, at, share })));
  // The last point is the last percentile drawn: a curve need not have one just there.
  const ends = lines.map(({ name, dist }) => ({ name, at: dist.p999_ns, share: 0.999 }));
  const body = [...points.filter((point) => point.share < 0.999), ...ends].filter((point) => point.at > 0);
  return {
    height: 240,
    marginLeft: 54,
    marginBottom: 36,
    x: {
      type: "log",
      label: `${label} →`,
      domain: d3.extent(body, (d) => d.at),
      ticks: 5,
      tickFormat: (d) => (/^1/.test(d.toExponential()) ? words.short("ns", d) : ""),
    },
    y: { domain: [0, 3], ticks: ticks.map(nines), tickFormat: (d) => `${Number((100 * (1 - 10 ** -d)).toFixed(1))} %`, label: null },
    marks: [
      Plot.gridY(ticks.map(nines), { stroke: "var(--line)", strokeOpacity: 1 }),
      ...lines.map(({ name }) =>
        Plot.line(
          body.filter((point) => point.name === name),
          {
            x: "at",
            y: (d) => nines(d.share),
            stroke: kv.style(name).color,
            strokeDasharray: kv.style(name).dash,
            strokeWidth: 2,
            clip: true,
          },
        ),
      ),
      ...lines.map(({ name, dist }) => Plot.dot(marks(dist), { x: "at", y: (d) => nines(d.share), r: 3.5, ...kv.dotStyle(name) })),
    ],
  };
}
const marks = (dist) =>
  [
    ["p50", 0.5, dist.p50_ns],
    ["p90", 0.9, dist.p90_ns],
    ["p99", 0.99, dist.p99_ns],
    ["p99.9", 0.999, dist.p999_ns],
  ]
    .map(([name, share, at]) => ({ name, share, at }))
    .filter(({ at }) => at > 0);

function figureOf(title, label, lines) {
  const figure = el("figure", { "data-chart": "latency" }, el("h3", { text: title }));
  if (kv.hasCharts) {
    figure.append(
      kv.chart(
        `Cumulative distribution of ${label}, ${title}.`,
        () => drawing(lines, label),
        () =>
          lines.flatMap(({ name, dist }) =>
            marks(dist).map((mark) => ({ x: mark.at, y: nines(mark.share), text: `${name}: ${mark.name} ${words.time(mark.at)}` })),
          ),
        "cdf",
      ),
    );
  }
  figure.append(
    kv.tableBehind(`${label}, ${title}`, [["of", true], ["samples"], ["p50"], ["p90"], ["p99"], ["p99.9"]], () =>
      lines.map(({ name, dist }) => [
        name,
        words.group(dist.count),
        ...[dist.p50_ns, dist.p90_ns, dist.p99_ns, dist.p999_ns].map(words.time),
      ]),
    ),
  );
  return figure;
}

kv.section("latency", "Latencies", (into) => {
  const measured = kv.shown().filter((cell) => cell.policies.some((entry) => entry.ack));
  into.append(
    el("p", {
      class: "soft",
      text:
        "Share of samples below a time. The vertical axis counts nines, the horizontal one is logarithmic. IPI: from the send until the sender sees the acknowledgement, all runs of a cell together " +
        "(the table above has the median of the runs' percentiles). Waits and wake-ups are in traces only.",
    }),
  );
  const named = kv.policies.filter((name) => measured.some((cell) => cell.policies.some((entry) => entry.policy === name)));
  if (kv.hasCharts && named.length) into.append(kv.policyLegend(named, true));
  if (measured.length === 0 && kv.cells.length > 0) into.append(kv.missing(kv.data.missing.detail ? "detail" : "ack"));
  const grid = el("div", { class: "multiples" });
  for (const cell of measured) {
    grid.append(
      figureOf(
        cell.name,
        "IPI send → acknowledgement",
        cell.policies.filter((entry) => entry.ack).map((entry) => ({ name: entry.policy, dist: entry.ack })),
      ),
    );
  }
  into.append(grid);
  const traced = kv.data.traces;
  if (traced.length === 0) return into.append(kv.missing("trace"));
  if (kv.hasCharts) into.append(el("h3", { text: "From the traces" }), kv.policyLegend(traced.map(kv.traceName), true));
  const fromTraces = el("div", { class: "multiples" });
  for (const [key, label, why] of [
    ["wait", "wait for a worker", "in, out"],
    ["wakeup", "wake-up: woken → on a worker", "wake"],
    ["ipi", "IPI send → EOI", "ipi, inject, eoi"],
  ]) {
    const lines = traced.map((trace) => ({ name: kv.traceName(trace), dist: trace[key] })).filter(({ dist }) => dist);
    fromTraces.append(
      lines.length
        ? figureOf(label, label, lines)
        : el("p", { class: "notice", text: `${label}: no trace has the events for it (${why}).` }),
    );
  }
  into.append(fromTraces);
});
