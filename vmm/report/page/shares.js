// What the VMs got, and where the vCPUs' time went.
const kv = window.kv;
const { el, words } = kv;

function fairnessOf(cell) {
  return cell.policies
    .filter((entry) => entry.fairness)
    .flatMap((entry) => entry.fairness.vms.map((vm, i) => ({ policy: entry.policy, vm: i, ...vm })));
}

kv.section("fairness", "Fairness against entitlement", (into) => {
  const list = kv.shown().filter((cell) => cell.policies.some((entry) => entry.fairness));
  if (list.length === 0) return into.append(el("p", { text: "No cell has more than one VM." }));
  const guessed = list.some((cell) => cell.policies.some((entry) => entry.fairness?.equal_weights_assumed));
  into.append(
    el("p", {
      class: "soft",
      text:
        "A mark is a VM: what it got over what its weight entitles it to, median and 10th to 90th percentile of the runs; 1 is exactly its share. Got is finished operations where all VMs run the same guest, else time on workers." +
        (guessed ? " These runs do not say their weights: equal ones are assumed." : ""),
    }),
  );
  const grid = el("div", { class: "multiples" });
  for (const cell of list) {
    const rows = fairnessOf(cell);
    const names = [...new Set(rows.map((row) => row.policy))];
    const figure = el("figure", { "data-chart": "fairness" }, el("h3", { text: cell.name }));
    if (kv.hasCharts) {
      const reach = Math.max(0.02, ...rows.flatMap((row) => [Math.abs(row.p10 - 1), Math.abs(row.p90 - 1)])) * 1.08;
      figure.append(
        kv.chart(
          `Share of each VM against its entitlement, ${cell.name}.`,
          () => ({
            height: 44 + names.length * 34,
            marginLeft: 92,
            marginRight: 24,
            marginBottom: 34,
            marginTop: 6,
            x: { label: "got / entitled →", domain: [Math.max(0, 1 - reach), 1 + reach], ticks: 5 },
            y: { domain: names, label: null },
            marks: [
              Plot.ruleX([1], { stroke: "var(--zero)" }),
              ...rows.map((row) =>
                Plot.ruleY([row], {
                  y: "policy",
                  x1: "p10",
                  x2: "p90",
                  stroke: kv.style(row.policy).color,
                  strokeOpacity: 0.5,
                  strokeWidth: 2,
                  dy: shift(row, rows),
                }),
              ),
              ...names.map((name) =>
                kv.dots(
                  rows.filter((row) => row.policy === name),
                  name,
                  (row) => ({ x: row.median, y: row.policy, dy: shift(row, rows) }),
                ),
              ),
            ],
          }),
          () =>
            rows.map((row) => ({
              x: row.median,
              y: row.policy,
              text: `${row.policy}, VM ${row.vm}: ${row.median.toFixed(3)} of its share (p10 ${row.p10.toFixed(3)}, p90 ${row.p90.toFixed(3)})`,
            })),
        ),
      );
    }
    figure.append(
      kv.tableBehind(`fairness, ${cell.name}`, [["policy", true], ["VM"], ["got / entitled"], ["p10"], ["p90"]], () =>
        rows.map((row) => [row.policy, String(row.vm), row.median.toFixed(3), row.p10.toFixed(3), row.p90.toFixed(3)]),
      ),
    );
    grid.append(figure);
  }
  into.append(grid);
});
// VMs of a policy lie below each other, within the policy's row.
function shift(row, rows) {
  const count = rows.filter((other) => other.policy === row.policy).length;
  return count > 1 ? -9 + (18 * row.vm) / (count - 1) : 0;
}

// Column, what it is, and what operators call it.
const columns = [
  ["guest", "in the guest, working", "%guest, usr"],
  ["spinning", "in the guest, busy-waiting", "counted as busy by all tools"],
  ["exits", "exit handling", "%sys, VMEXIT"],
  ["injection", "entries, injection", "%sys"],
  ["migration", "switches, moves", "%sys"],
  ["waiting", "runnable, waiting for a worker", "steal (Linux guest), %RDY (ESXi)"],
  ["stolen", "the host ran something else", "steal of the host's own hypervisor"],
  ["halted", "halted", "idle, %IDLE"],
  ["stopped", "not started, ended", "off"],
];

function ledgerChart(cell, rows) {
  return (width) => ({
    height: 40 + rows.length * 26,
    marginLeft: 92,
    marginRight: width < 480 ? 74 : 164,
    marginBottom: 32,
    marginTop: 4,
    x: { label: "share of the vCPUs' time →", domain: [0, 1], ticks: 5, tickFormat: (d) => `${Math.round(d * 100)} %` },
    y: { domain: rows.map((row) => row.policy), label: null, padding: 0.25 },
    marks: [
      ...columns.map(([name], i) =>
        Plot.barX(rows, {
          y: "policy",
          x1: (row) => before(row, i),
          x2: (row) => before(row, i + 1),
          fill: `var(--l-${name})`,
          stroke: "var(--bg)",
          strokeWidth: 0.5,
        }),
      ),
      Plot.text(rows, {
        y: "policy",
        text: (row) => `steal ${words.percent(row.ledger.steal)}${width < 480 ? "\n" : "  "}ready ${words.percent(row.ledger.ready)}`,
        frameAnchor: "right",
        dx: 6,
        textAnchor: "start",
        fontSize: width < 480 ? 10 : 11,
      }),
    ],
  });
}
const before = (row, i) =>
  Math.min(
    1,
    columns.slice(0, i).reduce((sum, [name]) => sum + row.ledger[name], 0),
  );

kv.section("ledger", "Where the time went", (into) => {
  const list = kv.shown().filter((cell) => cell.policies.some((entry) => entry.ledger));
  if (list.length === 0) return into.append(kv.missing("detail"));
  into.append(
    el("p", {
      class: "soft",
      text: "The time ledger of all vCPUs, all runs together. Steal is what top in a Linux guest would show (waiting and stolen), ready what a hypervisor's %RDY shows (waiting).",
    }),
    kv.legend(columns.map(([name, what]) => ({ label: `${name}: ${what}`, color: `var(--l-${name})`, box: true }))),
  );
  const grid = el("div", { class: "multiples wide" });
  for (const cell of list) {
    const rows = cell.policies.filter((entry) => entry.ledger);
    const figure = el("figure", { "data-chart": "ledger" }, el("h3", { text: cell.name }));
    if (kv.hasCharts) {
      figure.append(
        kv.chart(`Time ledger, ${cell.name}.`, ledgerChart(cell, rows), () =>
          rows
            .flatMap((row) =>
              columns.map(([name, what, called], i) => ({
                x: (before(row, i) + before(row, i + 1)) / 2,
                y: row.policy,
                text: `${row.policy}, ${name}: ${words.percent(row.ledger[name])}\n${what}; operators say: ${called}`,
                empty: row.ledger[name] === 0,
              })),
            )
            .filter((item) => !item.empty),
        ),
      );
    }
    figure.append(
      kv.tableBehind(`time ledger, ${cell.name}`, [["policy", true], ...columns.map(([name]) => [name]), ["steal"], ["ready"]], () =>
        rows.map((row) => [
          row.policy,
          ...columns.map(([name]) => words.percent(row.ledger[name])),
          words.percent(row.ledger.steal),
          words.percent(row.ledger.ready),
        ]),
      ),
    );
    grid.append(figure);
  }
  into.append(
    grid,
    kv.tableBehind(
      "what operators call it",
      [
        ["column", true],
        ["what it is", true],
        ["operators say", true],
      ],
      () => columns,
    ),
  );
});
