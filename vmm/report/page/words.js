// Numbers and verdicts in words: the same spelling as the table on the terminal (vmm/cli/table.cc).
const group = (value) => String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ",");

function time(ns) {
  if (ns < 1e3) return `${ns.toFixed(0)} ns`;
  if (ns < 1e6) return `${(ns / 1e3).toFixed(1)} µs`;
  if (ns < 1e9) return `${(ns / 1e6).toFixed(2)} ms`;
  return `${(ns / 1e9).toFixed(2)} s`;
}

function grouped(value) {
  if (value < 10) return value.toFixed(2);
  return value < 100 ? value.toFixed(1) : group(value);
}

// Beside an axis: 20k, 1.5 ms.
function short(unit, value) {
  if (unit === "ns") {
    const [scale, name] = value < 1e3 ? [1, "ns"] : value < 1e6 ? [1e3, "µs"] : value < 1e9 ? [1e6, "ms"] : [1e9, "s"];
    return `${Number((value / scale).toPrecision(3))} ${name}`;
  }
  if (unit === "share") return String(Number(value.toPrecision(3)));
  return value >= 1e6
    ? `${Number((value / 1e6).toPrecision(3))}M`
    : value >= 1e3
      ? `${Number((value / 1e3).toPrecision(3))}k`
      : String(Number(value.toPrecision(3)));
}

const kv = window.kv;
kv.words = {
  group,
  time,
  short,
  withUnit: (unit, value) => (unit === "rate" ? `${grouped(value)}/s` : unit === "ns" ? time(value) : value.toFixed(3)),
  ratio: (value) => value.toFixed(3),
  interval: (finding) => `${finding.low.toFixed(3)} … ${finding.high.toFixed(3)}`,
  percent: (share) => `${(share * 100).toFixed(1)} %`,
};

// By verdict as C++ spells it: a mark that needs no colour, a class, and what it says.
const verdicts = {
  better: ["▲", "v-better"],
  higher: ["▲", "v-higher"],
  worse: ["▼", "v-worse"],
  lower: ["▼", "v-lower"],
  equivalent: ["=", "v-equivalent"],
  inconclusive: ["?", "v-inconclusive"],
  "too few": ["…", "v-few"],
  "no ratio": ["∅", "v-few"],
  baseline: ["•", "v-few"],
};
kv.verdict = (name) => ({ mark: (verdicts[name] ?? ["", "v-few"])[0], style: (verdicts[name] ?? ["", "v-few"])[1] });
kv.verdictOf = (finding) =>
  finding.ratio === undefined && finding.verdict !== "baseline" ? (finding.runs < 2 ? "too few" : "no ratio") : finding.verdict;
