// The forest plot: every ratio with its interval against the band of equivalence. Rows are in the order of the grid,
// never by size: overlapping intervals have no rank.
const kv = window.kv;
const { el, words } = kv;

// Ticks of a logarithmic axis that may span 5 % or a factor of a thousand.
kv.ratioTicks = (low, high, count) => {
  if (high / low < 3) return d3.ticks(low, high, count);
  const spans = high / low;
  const digits = spans > 200 ? [1] : spans > 30 ? [1, 3] : spans > 8 || count < 5 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 7];
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); ++power) {
    for (const digit of digits) ticks.push(digit * 10 ** power);
  }
  return ticks.filter((tick) => tick >= low && tick <= high);
};
kv.ratioScale = (values, label, count = 5) => {
  const band = 1 + kv.data.margin;
  const low = Math.max(1e-3, Math.min(1 / band, ...values) / 1.02);
  const high = Math.min(1e3, Math.max(band, ...values) * 1.02);
  return {
    type: "log",
    domain: [low, high],
    ticks: kv.ratioTicks(low, high, count),
    tickFormat: (value) => String(Number(value.toPrecision(3))),
    label,
    clamp: true,
  };
};
kv.band = () => {
  const high = 1 + kv.data.margin;
  return { low: 1 / high, high };
};

// One row a cell and one a policy in it.
function rowsOf(cells, metric) {
  const rows = [];
  for (const cell of cells) {
    const found = cell.findings
      .map((entry, i) => ({ cell, policy: entry.policy, finding: entry.metrics[metric], detail: cell.policies[i] }))
      .filter(({ finding }) => finding && finding.verdict !== "baseline");
    if (found.length === 0) continue;
    rows.push({ key: `c${cell.index}`, header: cell });
    for (const row of found) rows.push({ ...row, key: `c${cell.index}/${row.policy}` });
  }
  return rows;
}

function sentenceOf(row, metric) {
  const { finding } = row;
  const verdict = kv.verdictOf(finding);
  const size = finding.ratio === undefined ? "no ratio" : `${words.ratio(finding.ratio)} (${words.interval(finding)})`;
  const published =
    row.detail.published && metric === "throughput"
      ? `\npublished: ${words.ratio(row.detail.published.ratio)} (${row.detail.published.workload}, ${row.detail.published.source})`
      : "";
  return `${row.cell.name}, ${row.policy}: ${size}, ${verdict}${published}`;
}

function drawing(rows, metric, baseline) {
  return (width) => {
    const narrow = width < 560;
    const found = rows.filter((row) => row.finding?.ratio !== undefined);
    const published = metric === "throughput" ? found.filter((row) => row.detail.published) : [];
    const { low, high } = kv.band();
    const values = [...found.flatMap(({ finding }) => [finding.low, finding.high]), ...published.map((row) => row.detail.published.ratio)];
    const scale = kv.ratioScale(values, `ratio to ${baseline} →`, narrow ? 3 : 6);
    const text = (row) =>
      narrow
        ? `${words.ratio(row.finding.ratio)} ${kv.verdict(row.finding.verdict).mark}`
        : `${words.ratio(row.finding.ratio)}  ${words.interval(row.finding)}  ${kv.verdict(row.finding.verdict).mark} ${row.finding.verdict}`;
    return {
      width,
      height: 46 + rows.length * 21,
      marginLeft: narrow ? 92 : 170,
      marginRight: narrow ? 70 : 235,
      marginTop: 8,
      marginBottom: 38,
      x: { ...scale, axis: null },
      y: { domain: rows.map((row) => row.key), axis: null },
      marks: [
        Plot.rect([0], { x1: low, x2: high, fill: "var(--band)" }),
        Plot.gridX(scale.ticks, { stroke: "var(--line)", strokeOpacity: 1 }),
        Plot.axisX(scale.ticks, { label: scale.label, tickFormat: scale.tickFormat, labelOffset: 32 }),
        Plot.ruleX([1], { stroke: "var(--zero)" }),
        Plot.text(
          rows.filter((row) => row.header),
          { y: "key", text: (row) => row.header.name, frameAnchor: "left", dx: narrow ? -90 : -168, textAnchor: "start", fontWeight: 600 },
        ),
        Plot.text(
          rows.filter((row) => row.finding),
          { y: "key", text: "policy", frameAnchor: "left", dx: -8, textAnchor: "end" },
        ),
        Plot.ruleY(found, {
          y: "key",
          x1: (row) => row.finding.low,
          x2: (row) => row.finding.high,
          stroke: (row) => `var(--${row.finding.verdict.replace("higher", "better").replace("lower", "worse").replace("too few", "few")})`,
          strokeWidth: 2.5,
        }),
        ...kv.policies.map((name) =>
          kv.dots(
            found.filter((row) => row.policy === name),
            name,
            (row) => ({ x: row.finding.ratio, y: row.key }),
            { r: 4.5 },
          ),
        ),
        Plot.dot(published, {
          x: (row) => row.detail.published.ratio,
          y: "key",
          symbol: "diamond",
          r: 5,
          stroke: "var(--text)",
          fill: "var(--bg)",
        }),
        Plot.text(found, { y: "key", text, frameAnchor: "right", dx: 8, textAnchor: "start" }),
        Plot.text(
          rows.filter((row) => row.finding && row.finding.ratio === undefined),
          { y: "key", text: (row) => kv.verdictOf(row.finding), frameAnchor: "middle", fill: "var(--soft)" },
        ),
      ],
    };
  };
}

kv.section("forest", "Every ratio with its interval", (into) => {
  const metric = kv.metric();
  if (!metric) return into.append(kv.missing("result"));
  into.append(
    el("p", {
      class: "soft",
      text:
        `${metric.title}: ratio to the baseline on a logarithmic axis; line: 95 % interval, in the colour of its verdict; shaded: within ${Number((kv.data.margin * 100).toPrecision(2))} % of equal. ` +
        "In the order of the grid: intervals that overlap have no rank." +
        (metric.name === "throughput" && kv.cells.some((cell) => cell.policies.some((p) => p.published))
          ? " Hollow diamond: the published ratio to mainline, on another machine."
          : ""),
    }),
  );
  for (const { title, members } of kv.groups(kv.shown())) {
    const rows = rowsOf(members, metric.name);
    if (rows.length === 0) continue;
    const baseline = members[0].findings.find((entry) => entry.metrics[metric.name]?.verdict === "baseline")?.policy ?? "the baseline";
    const found = rows.filter((row) => row.finding);
    into.append(el("h3", { text: title }));
    const figure = el("figure", { "data-chart": "forest" });
    if (kv.hasCharts) {
      figure.append(
        kv.chart(
          `Forest plot of ${metric.title}, ${title}: ${found.length} ratios to ${baseline}.`,
          drawing(rows, metric.name, baseline),
          () =>
            found
              .filter((row) => row.finding.ratio !== undefined)
              .map((row) => ({ x: row.finding.ratio, y: row.key, text: sentenceOf(row, metric.name) })),
        ),
      );
    }
    figure.append(
      kv.tableBehind(
        `${metric.title}, ${title}`,
        [
          ["cell", true],
          ["policy", true],
          ["median"],
          ["p10"],
          ["p90"],
          ["ratio"],
          ["95 % interval"],
          ["verdict", true],
          ["to settle", true],
        ],
        () =>
          members
            .flatMap((cell) => cell.findings.map((entry, i) => [cell, entry, cell.policies[i]]))
            .filter(([, entry]) => entry.metrics[metric.name])
            .map(([cell, entry, detail]) => {
              const finding = entry.metrics[metric.name];
              const value = (x) => words.withUnit(metric.unit, x);
              return [
                cell.name,
                entry.policy,
                value(finding.median),
                value(finding.p10),
                value(finding.p90),
                finding.ratio === undefined ? "" : words.ratio(finding.ratio),
                finding.ratio === undefined ? "" : words.interval(finding),
                kv.verdictOf(finding),
                detail.settle[metric.name] ?? "",
              ];
            }),
      ),
    );
    into.append(figure);
  }
});
