// Directed yields: how many, for what reason, what became of them; and who preempted whom.
const kv = window.kv;
const { el, words } = kv;
const outcomes = [
  ["hits", "hit: the wait was over", "--hit"],
  ["misses", "miss: the target did not run in time", "--miss"],
  ["harmful", "harmful: the target only spun", "--harmful"],
  ["open", "not known", "--open"],
];

// rows: [{ name, hits, misses, harmful, open }]
function bars(rows, unit) {
  const sum = (row, i) => outcomes.slice(0, i).reduce((all, [key]) => all + row[key], 0);
  return {
    height: 42 + rows.length * 26,
    marginLeft: 124,
    marginRight: 24,
    marginBottom: 34,
    marginTop: 4,
    x: { label: `${unit} →`, ticks: 4, tickFormat: (d) => words.short("rate", d) },
    y: { domain: rows.map((row) => row.name), label: null, padding: 0.25 },
    marks: outcomes.map(([, , color], i) =>
      Plot.barX(rows, {
        y: "name",
        x1: (row) => sum(row, i),
        x2: (row) => sum(row, i + 1),
        fill: `var(${color})`,
        stroke: "var(--soft)",
        strokeWidth: 0.5,
      }),
    ),
  };
}
function figureOf(title, rows, unit, more) {
  const figure = el("figure", { "data-chart": "yields" }, el("h3", { text: title }));
  const total = (row) => outcomes.reduce((all, [key]) => all + row[key], 0);
  if (kv.hasCharts && rows.some((row) => total(row) > 0)) {
    figure.append(
      kv.chart(
        `Directed yields with outcome, ${title}.`,
        () => bars(rows, unit),
        () =>
          rows.flatMap((row) => {
            let at = 0;
            return outcomes
              .map(([key, what]) => {
                at += row[key];
                return {
                  x: at - row[key] / 2,
                  y: row.name,
                  count: row[key],
                  text: `${row.name}, ${what}: ${words.group(row[key])} (${words.percent(row[key] / total(row))})`,
                };
              })
              .filter(({ count }) => count > 0);
          }),
      ),
    );
  } else if (!rows.some((row) => total(row) > 0)) figure.append(el("p", { class: "soft", text: "No directed yields." }));
  figure.append(
    kv.tableBehind(`yields, ${title}`, [["policy", true], ...outcomes.map(([key]) => [key]), ["reasons", true]], () =>
      rows.map((row) => [row.name, ...outcomes.map(([key]) => words.group(row[key])), more(row)]),
    ),
  );
  return figure;
}

kv.section("yields", "Directed yields and what became of them", (into) => {
  const list = kv.shown().filter((cell) => cell.policies.some((entry) => entry.yields));
  into.append(kv.legend(outcomes.map(([, label, color]) => ({ label, color: `var(${color})`, box: true }))));
  if (list.length === 0 && kv.cells.length > 0) into.append(kv.missing("detail"));
  const grid = el("div", { class: "multiples" });
  for (const cell of list) {
    const rows = cell.policies.filter((entry) => entry.yields).map((entry) => ({ name: entry.policy, ...entry.yields }));
    grid.append(
      figureOf(cell.name, rows, "yields a second", (row) =>
        Object.entries(row.reasons)
          .map(([reason, rate]) => `${reason} ${words.group(rate)}/s`)
          .join(", "),
      ),
    );
  }
  for (const trace of kv.data.traces) {
    const rows = Object.entries(trace.outcomes).map(([name, counts]) => ({ name, ...counts }));
    if (rows.length) grid.append(figureOf(`${kv.traceName(trace)}, traced: by reason`, rows, "yields in the trace", () => ""));
    else
      grid.append(
        el("p", { class: "notice", text: `${trace.name} has no yields: its policy makes none, or its writer does not record them yet.` }),
      );
  }
  into.append(grid);
});

kv.section("preempted", "Who preempted whom", (into) => {
  if (kv.data.traces.length === 0) return into.append(kv.missing("trace"));
  into.append(
    el("p", {
      class: "soft",
      text: "Rows: the VM that was taken off a worker while it could run. Columns: the VM that came onto it. Counts of the traced window.",
    }),
  );
  const grid = el("div", { class: "multiples" });
  for (const trace of kv.data.traces) {
    const most = Math.max(1, ...trace.preempted.flat());
    const name = (vm) => `VM ${vm}`;
    const table = kv.table(
      `${kv.traceName(trace)}: who preempted whom`,
      [["taken off", true], ...trace.vms.map((_, vm) => [name(vm)])],
      trace.preempted.map((row, vm) => [name(vm), ...row.map(words.group)]),
    );
    table.querySelectorAll("tbody tr").forEach((row, from) =>
      row.querySelectorAll("td").forEach((field, to) => {
        field.style.background = `color-mix(in srgb, var(--s0) ${Math.round((55 * trace.preempted[from][to]) / most)}%, transparent)`;
      }),
    );
    grid.append(el("figure", { "data-chart": "preempted" }, el("h3", { text: kv.traceName(trace) }), table));
  }
  into.append(grid);
});

kv.section(
  "ipis",
  "Who waits for whom: IPIs",
  (into) => {
    if (kv.data.traces.length === 0) return into.append(kv.missing("trace"));
    for (const trace of kv.data.traces) {
      const graph = trace.ipi_graph;
      if (!graph) {
        into.append(el("p", { class: "soft", text: `${kv.traceName(trace)}: no IPIs.` }));
        continue;
      }
      const source = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(graph.svg)}`;
      into.append(
        el(
          "figure",
          { "data-chart": "ipis" },
          el("h3", { text: kv.traceName(trace) }),
          el("div", { class: "scroll" }, el("img", { class: "picture", src: source, alt: graph.words, loading: "lazy" })),
          kv.tableBehind(
            `${kv.traceName(trace)}: IPIs by pair`,
            [
              ["sender", true],
              ["receiver", true],
              ["IPIs"],
              ["sent until injected, p50"],
              ["p99"],
              ["injected until EOI, p50"],
              ["p99"],
              ["unfinished"],
            ],
            () =>
              graph.pairs.map((pair) => [
                pair.from,
                pair.to,
                words.group(pair.count),
                words.time(pair.injection_p50_ns),
                words.time(pair.injection_p99_ns),
                words.time(pair.handling_p50_ns),
                words.time(pair.handling_p99_ns),
                words.group(pair.unfinished),
              ]),
          ),
        ),
      );
    }
  },
  false,
);
