// What all parts of the page share: the data, elements, and sections that are drawn when they come into view.
const frame = document.getElementById("data");
const data = JSON.parse(frame.textContent);

// `text` is always text: names from result files are never markup.
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// The same in SVG.
function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") node.textContent = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const cells = data.compare.cells.map((cell, index) => ({
  ...cell,
  index,
  name: data.names[index],
  ...data.details[index],
  findings: cell.policies,
  policies: data.details[index].policies,
}));

// Policies of all cells, in the order in which they first appear: each keeps its colour and shape everywhere.
const policies = [...new Set(cells.flatMap((cell) => cell.findings.map((entry) => entry.policy)))];

const metrics = data.metrics.filter((metric) => data.parts.includes(metric.name));

// Traces are named by their policy, and by their file where that is not enough.
function traceName(trace) {
  const policy = trace.vms?.[0]?.policy ?? trace.name;
  return data.traces.filter((other) => other.vms?.[0]?.policy === policy).length > 1 ? `${policy} (${trace.name})` : policy;
}

// What the controls chose.
const chosen = { metric: data.first ?? undefined, guest: "" };

const kv = {
  data,
  el,
  svg,
  cells,
  policies,
  metrics,
  chosen,
  traceName,
  styled: [...new Set([...policies, ...data.traces.map(traceName)])], // each has a colour, a shape and a dash
  hasCharts: frame.dataset.charts === "yes", // the library itself is read with the first chart (parts.js)
  sections: [], // { id, title, draw(into), follows: drawn anew when the controls change }
  section(id, title, draw, follows = true) {
    kv.sections.push({ id, title, draw, follows });
  },
  metric: () => metrics.find((metric) => metric.name === chosen.metric),
  guestOf: (cell) => cell.guest,
  shown: () => cells.filter((cell) => cell.blocks > 0 && (chosen.guest === "" || cell.guest === chosen.guest)),
  missing: (what) => el("p", { class: "notice", text: data.missing[what] ?? "Not in this result file." }),
  // Cells of one guest on as many workers of one backend: those that differ in size only.
  groups(list) {
    const groups = new Map();
    for (const cell of list) {
      const key = `${cell.guest}, ${cell.workers} worker${cell.workers === 1 ? "" : "s"}${cell.backend === "sim" ? ", simulated" : ""}`;
      groups.set(key, [...(groups.get(key) ?? []), cell]);
    }
    return [...groups].map(([title, members]) => ({ title, members }));
  },
  // Drawn when it is about to be seen; at once where nothing can be observed.
  lazily(node, draw) {
    if (typeof IntersectionObserver === "undefined") return draw();
    const observer = new IntersectionObserver(
      (entries) => {
        if (!entries.some((entry) => entry.isIntersecting)) return;
        observer.disconnect();
        draw();
      },
      { rootMargin: "600px" },
    );
    observer.observe(node);
  },
};
window.kv = kv;
