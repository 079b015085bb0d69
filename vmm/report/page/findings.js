// First what came out: how often each verdict was given, and one sentence a finding.
const kv = window.kv;
const { el } = kv;
const manySentences = 24;

function counts(metric) {
  const of = kv.data.counts[metric];
  const list = [
    ["better", "better"],
    ["worse", "worse"],
    ["equivalent", "equivalent"],
    ["inconclusive", "inconclusive"],
    ["too few", "too_few"],
  ];
  return el(
    "ul",
    { class: "counts", "aria-label": `Verdicts on ${metric}: ${of.text}` },
    ...list.map(([name, key]) => {
      const { mark, style } = kv.verdict(name);
      return el("li", { class: style, "data-verdict": key }, el("b", { text: `${mark} ${of[key]}` }), el("span", { text: name }));
    }),
  );
}

const item = ({ verdict, text }) => {
  const { mark, style } = kv.verdict(verdict);
  return el("li", {}, el("span", { class: `mark ${style}`, "aria-hidden": "true", text: mark }), el("span", { text }));
};

function sentences(metric) {
  const shown = new Set(kv.shown().map((cell) => cell.index));
  const list = kv.data.sentences[metric].filter(({ cell }) => shown.has(cell));
  const first = el("ul", { class: "sentences" }, ...list.slice(0, manySentences).map(item));
  if (list.length <= manySentences) return [first];
  const more = el("details", {}, el("summary", { text: `${list.length - manySentences} more findings` }));
  more.addEventListener("toggle", () => {
    if (more.open && more.childElementCount === 1) more.append(el("ul", { class: "sentences" }, ...list.slice(manySentences).map(item)));
  });
  return [first, more];
}

kv.section("findings", "Findings", (into) => {
  const metric = kv.metric();
  if (!metric || kv.shown().length === 0) return into.append(el("p", { text: "There is no result file: this report shows traces alone." }));
  const margin = Number((kv.data.margin * 100).toPrecision(2));
  into.append(
    counts(metric.name),
    ...sentences(metric.name),
    el("p", {
      class: "soft",
      text:
        `In brackets: the 95 % interval of the ratio. Better and worse hold at 5 % over all comparisons of a metric together (Holm); ` +
        `equivalent means shown to be within ${margin} %; inconclusive means that nothing was shown, which is not the same as equal.` +
        (metric.better === "lower" ? ` Of ${metric.title}, less is better.` : ""),
    }),
  );
});
