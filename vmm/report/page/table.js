// Tables: behind every chart, and in its place where there is no charting library.
const kv = window.kv;
const { el } = kv;

// Columns: [title, is text?]. Rows: lists of strings; made when the table is opened.
kv.table = (caption, columns, rows) =>
  el(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el(
      "table",
      {},
      el("caption", { text: caption }),
      el("thead", {}, el("tr", {}, ...columns.map(([title, text]) => el("th", { scope: "col", class: text ? "l" : "", text: title })))),
      el(
        "tbody",
        {},
        ...rows.map((row) =>
          el(
            "tr",
            {},
            ...row.map((value, i) =>
              el(i === 0 ? "th" : "td", {
                scope: i === 0 ? "row" : undefined,
                class: columns[i][1] ? "l" : "",
                text: value ?? "",
              }),
            ),
          ),
        ),
      ),
    ),
  );

const mostRows = 100; // of a table that stands open where there are no charts

kv.tableBehind = (caption, columns, makeRows) => {
  if (!kv.hasCharts) {
    const rows = makeRows();
    if (rows.length <= mostRows) return kv.table(caption, columns, rows);
  }
  const details = el("details", {}, el("summary", { text: `As a table: ${caption}` }));
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) details.append(kv.table(caption, columns, makeRows()));
  });
  return details;
};
