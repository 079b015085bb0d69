// How each policy fares as more vCPUs share the workers.
const kv = window.kv;
const { el, words } = kv;

// A curve a policy: median with p10 … p90, and ratio with its interval.
function curves(members, metric) {
  const ordered = [...members].sort((a, b) => a.overcommit - b.overcommit || a.vms - b.vms);
  return kv.policies
    .map((policy) => ({
      policy,
      points: ordered.flatMap((cell) => {
        const finding = cell.findings.find((entry) => entry.policy === policy)?.metrics[metric];
        return finding
          ? [{ cell, at: cell.overcommit, finding, published: cell.policies.find((entry) => entry.policy === policy)?.published }]
          : [];
      }),
    }))
    .filter(({ points }) => points.length > 0);
}

// Cells of one ratio but different sizes are different curves: VMs of one size only.
function families(members) {
  const byWidth = new Map();
  for (const cell of members) {
    const width = cell.vcpus_in_all / cell.vms;
    byWidth.set(width, [...(byWidth.get(width) ?? []), cell]);
  }
  return [...byWidth].map(([width, list]) => ({ width, list }));
}

const xScale = (members) => ({
  label: "vCPUs a worker →",
  ticks: [...new Set(members.map((cell) => cell.overcommit))],
  tickFormat: (d) => `${Number(d.toFixed(2))}:1`,
  domain:
    members.length > 1 && new Set(members.map((cell) => cell.overcommit)).size > 1
      ? d3.extent(members, (cell) => cell.overcommit)
      : [members[0].overcommit - 0.5, members[0].overcommit + 0.5],
});

function medians(members, lines, metric) {
  const ceilings =
    metric.name === "throughput"
      ? members
          .filter((cell) => cell.ceiling)
          .map((cell) => ({ at: cell.overcommit, value: cell.ceiling }))
          .sort((a, b) => a.at - b.at)
      : metric.name === "useful"
        ? members.map((cell) => ({ at: cell.overcommit, value: 1 })).sort((a, b) => a.at - b.at)
        : [];
  return {
    height: 260,
    marginLeft: 52,
    marginRight: 16,
    x: xScale(members),
    y: {
      label: `↑ ${metric.title}`,
      zero: metric.unit !== "ns",
      type: metric.unit === "ns" ? "log" : "linear",
      nice: true,
      ticks: 5,
      tickFormat: (d) => words.short(metric.unit, d),
    },
    marks: [
      Plot.gridY({ stroke: "var(--line)", strokeOpacity: 1, ticks: 5 }),
      ...(ceilings.length
        ? [
            Plot.lineY(ceilings, {
              x: "at",
              y: "value",
              stroke: "var(--soft)",
              strokeDasharray: "1 4",
              strokeWidth: 2,
              strokeLinecap: "round",
            }),
            Plot.text([ceilings[ceilings.length - 1]], {
              x: "at",
              y: "value",
              text: ["ceiling"],
              dy: -8,
              textAnchor: "end",
              fill: "var(--soft)",
            }),
          ]
        : []),
      ...lines.flatMap(({ policy, points }) => [
        Plot.areaY(points, {
          x: "at",
          y1: (d) => d.finding.p10,
          y2: (d) => d.finding.p90,
          fill: kv.style(policy).color,
          fillOpacity: 0.14,
        }),
        Plot.ruleX(points, {
          x: "at",
          y1: (d) => d.finding.p10,
          y2: (d) => d.finding.p90,
          stroke: kv.style(policy).color,
          strokeOpacity: 0.5,
        }),
        Plot.lineY(points, {
          x: "at",
          y: (d) => d.finding.median,
          stroke: kv.style(policy).color,
          strokeDasharray: kv.style(policy).dash,
          strokeWidth: 2,
        }),
        Plot.dot(points, { x: "at", y: (d) => d.finding.median, r: 4, ...kv.dotStyle(policy) }),
      ]),
    ],
  };
}

function ratios(members, lines, metric) {
  const measured = lines
    .map(({ policy, points }) => ({ policy, points: points.filter((point) => point.finding.ratio !== undefined) }))
    .filter(({ points }) => points.length > 0);
  const published = metric.name === "throughput" ? measured.flatMap(({ points }) => points.filter((point) => point.published)) : [];
  const { low, high } = kv.band();
  return {
    height: 260,
    marginLeft: 52,
    marginRight: 16,
    x: xScale(members),
    y: kv.ratioScale(
      [
        ...measured.flatMap(({ points }) => points.flatMap(({ finding }) => [finding.low, finding.high])),
        ...published.map((point) => point.published.ratio),
      ],
      "↑ ratio to the baseline",
    ),
    marks: [
      Plot.rect([0], { y1: low, y2: high, fill: "var(--band)" }),
      Plot.ruleY([1], { stroke: "var(--zero)" }),
      ...measured.flatMap(({ policy, points }) => [
        Plot.areaY(points, {
          x: "at",
          y1: (d) => d.finding.low,
          y2: (d) => d.finding.high,
          fill: kv.style(policy).color,
          fillOpacity: 0.14,
        }),
        Plot.ruleX(points, {
          x: "at",
          y1: (d) => d.finding.low,
          y2: (d) => d.finding.high,
          stroke: kv.style(policy).color,
          strokeOpacity: 0.6,
        }),
        Plot.lineY(points, {
          x: "at",
          y: (d) => d.finding.ratio,
          stroke: kv.style(policy).color,
          strokeDasharray: kv.style(policy).dash,
          strokeWidth: 2,
        }),
        Plot.dot(points, { x: "at", y: (d) => d.finding.ratio, r: 4, ...kv.dotStyle(policy) }),
      ]),
      Plot.dot(published, { x: "at", y: (d) => d.published.ratio, symbol: "diamond", r: 5, stroke: "var(--text)", fill: "var(--bg)" }),
    ],
  };
}

kv.section("overcommit", "By overcommit", (into) => {
  const metric = kv.metric();
  if (!metric) return into.append(kv.missing("result"));
  into.append(
    el("p", {
      class: "soft",
      text:
        "First the medians, shaded from the 10th to the 90th percentile of the runs, then the ratio to the baseline with its 95 % interval. " +
        (metric.name === "throughput" ? "Ceiling: what the workers would do if all of their time went into counted work." : ""),
    }),
  );
  if (kv.hasCharts) into.append(kv.policyLegend(kv.policies, true));
  let sizes = 0;
  for (const { title, members } of kv.groups(kv.shown())) {
    for (const { width, list } of families(members)) {
      const lines = curves(list, metric.name);
      if (lines.length === 0) continue;
      sizes = Math.max(sizes, new Set(list.map((cell) => cell.overcommit)).size);
      const name = `${title}, VMs of ${width} vCPUs`;
      const figure = el("figure", { "data-chart": "overcommit" }, el("h3", { text: name }));
      if (kv.hasCharts) {
        const item = (value, text) =>
          lines.flatMap(({ policy, points }) =>
            points
              .filter((point) => value(point) !== undefined)
              .map((point) => ({ x: point.at, y: value(point), text: `${point.cell.size}, ${policy}: ${text(point.finding)}` })),
          );
        figure.append(
          el(
            "div",
            { class: "multiples wide" },
            kv.chart(
              `${metric.title} by overcommit, ${name}.`,
              () => medians(list, lines, metric),
              () =>
                item(
                  (point) => point.finding.median,
                  (f) =>
                    `${words.withUnit(metric.unit, f.median)} (p10 ${words.withUnit(metric.unit, f.p10)}, p90 ${words.withUnit(metric.unit, f.p90)})`,
                ),
            ),
            kv.chart(
              `Ratio of ${metric.title} to the baseline by overcommit, ${name}.`,
              () => ratios(list, lines, metric),
              () =>
                item(
                  (point) => point.finding.ratio,
                  (f) => `${words.ratio(f.ratio)} (${words.interval(f)}), ${f.verdict}`,
                ),
            ),
          ),
        );
      }
      figure.append(
        kv.tableBehind(
          `by overcommit, ${name}`,
          [
            ["vCPUs a worker"],
            ["VMs × vCPUs", true],
            ["policy", true],
            ["median"],
            ["p10"],
            ["p90"],
            ["ratio"],
            ["95 % interval"],
            ["ceiling"],
          ],
          () =>
            lines.flatMap(({ policy, points }) =>
              points.map(({ cell, finding }) => [
                `${Number(cell.overcommit.toFixed(2))}:1`,
                cell.size,
                policy,
                ...[finding.median, finding.p10, finding.p90].map((x) => words.withUnit(metric.unit, x)),
                finding.ratio === undefined ? "" : words.ratio(finding.ratio),
                finding.ratio === undefined ? "" : words.interval(finding),
                metric.name === "throughput" && cell.ceiling ? words.withUnit("rate", cell.ceiling) : "",
              ]),
            ),
        ),
      );
      into.append(figure);
    }
  }
  if (sizes < 2)
    into.append(
      el("p", { class: "soft", text: "One size only: a curve needs several (compare --vms 1,2,3,4, or kvmux sweep --ratio 2,4,6,8)." }),
    );
});
