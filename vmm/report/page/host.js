// Where the figures come from: host, kernel, noise, commands, seeds, versions; and the figures themselves.
const kv = window.kv;
const { el, words, data } = kv;
const quoted = (word) => (/^[\w@%+=:,./×-]+$/u.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

function session(line, i) {
  const host = line.host ?? {};
  const rows = [
    ["command", (line.command ?? []).map(quoted).join(" ")],
    ["kvmux", line.kvmux_version],
    ["kernel", host.kernel],
    ["CPU", host.cpu_model],
    ["CPUs", host.cpus === undefined ? "" : `${host.cpus_allowed} of ${host.cpus}`],
    ["used", line.cpus ? [`CPUs ${line.cpus.cpus.join(", ")}`, ...(line.cpus.notes ?? [])].join("; ") : ""],
    [
      "started",
      line.started_unix
        ? new Date(line.started_unix * 1000).toISOString().replace("T", " ").slice(0, 16) + " UTC"
        : "not recorded (simulated)",
    ],
  ];
  return el(
    "div",
    {},
    el("h3", { text: data.sessions.length > 1 ? `Session ${i + 1}` : "Measured" }),
    el(
      "dl",
      {},
      ...rows
        .filter(([, value]) => value)
        .flatMap(([name, value]) => [el("dt", { text: name }), el("dd", {}, name === "command" ? el("code", { text: value }) : value)]),
    ),
  );
}

function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = el("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

async function saved(name, type, text) {
  try {
    save(name, type, await text());
  } catch (error) {
    kv.notice(error.message);
  }
}

kv.section(
  "host",
  "Host, noise and how to repeat it",
  (into) => {
    const shown = data.sessions.slice(-3);
    into.append(...shown.map((line) => session(line, data.sessions.indexOf(line))));
    if (data.sessions.length > 3)
      into.append(
        el(
          "details",
          {},
          el("summary", { text: `${data.sessions.length - 3} earlier sessions` }),
          ...data.sessions.slice(0, -3).map(session),
        ),
      );
    into.append(
      el("h3", { text: "This report" }),
      el(
        "dl",
        {},
        el("dt", { text: "command" }),
        el("dd", {}, el("code", { text: data.made_by.map(quoted).join(" ") })),
        el("dt", { text: "kvmux" }),
        el("dd", { text: data.kvmux_version }),
        el("dt", { text: "seed" }),
        el("dd", { text: `${data.seed} (intervals; the seed of each run is in the runs' CSV)` }),
      ),
    );
    for (const trace of data.traces)
      into.append(
        el("h3", { text: trace.name }),
        el("dl", {}, el("dt", { text: "command" }), el("dd", {}, el("code", { text: trace.command }))),
      );
    into.append(
      el("h3", { text: "Noise" }),
      kv.table(
        "noise by cell",
        [["cell", true], ["blocks"], ["measured again"], ["disturbed, but count"], ["most stolen in a run"], ["baseline p90 / p10"]],
        kv.cells.map((cell) => {
          const base = cell.findings.map((entry) => entry.metrics.throughput).find((finding) => finding?.verdict === "baseline");
          return [
            cell.name,
            String(cell.blocks),
            String(cell.repeated_blocks),
            String(cell.disturbed_blocks),
            words.percent(cell.worst_steal),
            base && base.p10 > 0 ? (base.p90 / base.p10).toFixed(3) : "",
          ];
        }),
      ),
    );
  },
  false,
);

kv.section(
  "downloads",
  "Data",
  (into) => {
    into.append(
      el("p", { text: "Everything that this page shows is inside it." }),
      el(
        "div",
        { class: "tools" },
        el("button", {
          type: "button",
          id: "save-json",
          text: "Report as JSON",
          onclick: () => saved("kvmux-report.json", "application/json", async () => JSON.stringify(await kv.whole(), null, 1)),
        }),
        el("button", {
          type: "button",
          id: "save-findings",
          text: "Findings as CSV",
          onclick: () => saved("kvmux-findings.csv", "text/csv", async () => (await kv.csv()).findings),
        }),
        el("button", {
          type: "button",
          id: "save-runs",
          text: "Every run as CSV",
          onclick: () => saved("kvmux-runs.csv", "text/csv", async () => (await kv.csv()).runs),
        }),
      ),
    );
  },
  false,
);
