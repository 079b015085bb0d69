// Simulated beside real, and published beside both.
const kv = window.kv;
const { el, words } = kv;

kv.section("beside", "Simulated, real and published side by side", (into) => {
  const metric = kv.metric();
  const rows = [];
  for (const cell of kv.shown().filter((one) => one.backend !== "sim")) {
    const twin = kv.cells.find(
      (other) =>
        other.backend === "sim" && sameGuest(other, cell) && other.size === cell.size && other.workers === cell.workers && other.blocks > 0,
    );
    for (const entry of cell.findings)
      rows.push({
        cell,
        policy: entry.policy,
        real: entry.metrics[metric.name],
        simulated: twin?.findings.find((other) => other.policy === entry.policy)?.metrics[metric.name],
        published: published(cell, entry.policy),
      });
  }
  for (const cell of kv.shown().filter((one) => one.backend === "sim")) {
    if (
      kv.cells.some(
        (other) => other.backend !== "sim" && sameGuest(other, cell) && other.size === cell.size && other.workers === cell.workers,
      )
    )
      continue;
    for (const entry of cell.findings)
      rows.push({ cell, policy: entry.policy, simulated: entry.metrics[metric.name], published: published(cell, entry.policy) });
  }
  const told = rows.filter(
    (row) => [row.real?.ratio, row.simulated?.ratio, row.published].filter((value) => value !== undefined && value !== null).length > 1,
  );
  if (told.length === 0) {
    return into.append(
      el("p", {
        text:
          "Nothing to lay side by side: no cell was both measured and simulated, and none has a published figure. Join a real and a simulated file of the same grid: " +
          "kvmux merge --mixed real.jsonl sim.jsonl -o both.jsonl; published figures are of guests lock, ipi and mixed under deboost, ipi, v2 and v3 with 2 to 4 VMs.",
      }),
    );
  }
  const text = (finding) => (finding?.ratio === undefined ? "" : `${words.ratio(finding.ratio)} (${words.interval(finding)})`);
  into.append(
    el("p", {
      class: "soft",
      text: "Ratios to the baseline; published ones are to mainline, of another machine and of real benchmarks, which the guests stand for; * marks the published set-up (16 CPUs, 16 vCPUs a VM).",
    }),
  );
  const columns = [
    ["cell", true, ({ cell }) => `${cell.guest.split(" on ")[0]} ${cell.size}`],
    ["policy", true, (row) => row.policy],
    ["real", false, (row) => text(row.real)],
    ["simulated", false, (row) => text(row.simulated)],
    ["published", false, ({ published: one }) => (one ? `${words.ratio(one.ratio)}${one.same_setup ? " *" : ""}` : "")],
    ["of", true, ({ published: one }) => (one ? `${one.workload}, ${one.source}` : "")],
  ].filter(([, , value]) => told.some((row) => value(row) !== ""));
  const rowOf = (row) => columns.map(([, , value]) => value(row));
  into.append(kv.table(`${metric.title}: ratios side by side`, columns, told.map(rowOf)));
});
// `kvmux merge --mixed` puts the host behind the guest.
const sameGuest = (one, other) => one.guest.split(" on ")[0] === other.guest.split(" on ")[0];
const published = (cell, policy) =>
  kv.chosen.metric === "throughput" ? cell.policies.find((entry) => entry.policy === policy)?.published : undefined;
