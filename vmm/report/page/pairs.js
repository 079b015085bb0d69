// Every paired ratio in time order: drift, two states and repeated blocks show here and nowhere else.
const kv = window.kv;
const { el, words } = kv;

function pointsOf(cell, metric) {
  const points = [];
  for (const entry of cell.policies) {
    (entry.pairs?.[metric] ?? []).forEach((ratio, i) => {
      if (ratio !== null)
        points.push({ policy: entry.policy, ratio, at: i + 1, ...cell.attempts[i], repeated: cell.attempts[i].attempt > 0 });
    });
  }
  return points.sort((a, b) => a.at - b.at);
}

function say(point) {
  const notes = [
    point.repeated ? `attempt ${point.attempt + 1}` : "",
    point.counts ? "" : "does not count: measured again",
    point.disturbed ? "disturbed by the host" : "",
  ].filter(Boolean);
  return `block ${point.block + 1}, ${point.policy}: ${words.ratio(point.ratio)}${notes.length ? ` (${notes.join(", ")})` : ""}, stolen ${words.percent(point.steal ?? 0)}`;
}

const where = (point) => ({ x: point.at, y: point.ratio });

function drawing(cell, points, metric) {
  const names = [...new Set(points.map((point) => point.policy))];
  const means = cell.findings
    .filter((entry) => entry.metrics[metric]?.ratio !== undefined)
    .map((entry) => ({ policy: entry.policy, ratio: entry.metrics[metric].ratio }));
  const { low, high } = kv.band();
  const last = Math.max(2, ...points.map((point) => point.at));
  return {
    height: 190,
    marginLeft: 44,
    marginTop: 8,
    marginBottom: 34,
    x: {
      label: "attempts at blocks, in time →",
      domain: [0.5, last + 0.5],
      ticks: last <= 8 ? d3.range(1, last + 1) : undefined,
      tickFormat: (d) => String(d),
    },
    y: kv.ratioScale(
      points.map((point) => point.ratio),
      null,
    ),
    marks: [
      Plot.rect([0], { y1: low, y2: high, fill: "var(--band)" }),
      Plot.ruleY([1], { stroke: "var(--zero)" }),
      ...means.map((mean) =>
        Plot.ruleY([mean.ratio], { stroke: kv.style(mean.policy).color, strokeDasharray: kv.style(mean.policy).dash, strokeOpacity: 0.7 }),
      ),
      kv.marked(
        points.filter((point) => point.disturbed),
        "cross",
        where,
        { r: 7, stroke: "var(--worse)", opacity: 0.6 },
      ),
      ...names.flatMap((name) =>
        [true, false].map((counts) =>
          kv.dots(
            points.filter((point) => point.policy === name && point.counts === counts),
            name,
            where,
            { r: last > 100 ? 1.8 : 3.2, opacity: counts ? 1 : 0.4 },
          ),
        ),
      ),
      kv.marked(
        points.filter((point) => point.repeated && point.counts),
        "circle",
        where,
        { r: 7, stroke: "var(--text)", width: 1.2 },
      ),
    ],
  };
}

kv.section("pairs", "Every paired ratio in time order", (into) => {
  const metric = kv.metric();
  if (!metric) return into.append(kv.missing("result"));
  into.append(
    el("p", {
      class: "soft",
      text: `${metric.title}: a dot is one block's ratio to the baseline, on a logarithmic axis; dashed lines: the means. A ring marks a block that was measured again because the host disturbed it; the attempts that do not count are pale; a cross marks a block with a disturbed run.`,
    }),
  );
  if (kv.hasCharts)
    into.append(
      kv.policyLegend(
        kv.policies.filter((name) =>
          kv.shown().some((cell) => cell.policies.some((entry) => entry.policy === name && entry.pairs?.[metric.name])),
        ),
      ),
    );
  const grid = el("div", { class: "multiples" });
  for (const cell of kv.shown()) {
    const points = pointsOf(cell, metric.name);
    if (points.length === 0) continue;
    const figure = el("figure", { "data-chart": "pairs" }, el("h3", { text: cell.name }));
    if (kv.hasCharts) {
      figure.append(
        kv.chart(
          `Paired ratios of ${metric.title} in time order, ${cell.name}; ${cell.repeated_blocks} blocks repeated.`,
          () => drawing(cell, points, metric.name),
          () => points.map((point) => ({ x: point.at, y: point.ratio, text: say(point) })),
        ),
      );
    }
    figure.append(
      kv.tableBehind(
        `paired ratios, ${cell.name}`,
        [["block"], ["attempt"], ["policy", true], ["ratio"], ["counts", true], ["disturbed", true], ["stolen"]],
        () =>
          points.map((point) => [
            String(point.block + 1),
            String(point.attempt + 1),
            point.policy,
            words.ratio(point.ratio),
            point.counts ? "yes" : "no",
            point.disturbed ? "yes" : "no",
            words.percent(point.steal ?? 0),
          ]),
      ),
    );
    grid.append(figure);
  }
  into.append(grid);
});
