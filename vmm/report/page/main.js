// Puts the sections on the page and redraws those that follow the controls.
const kv = window.kv;
const { el } = kv;
const main = document.getElementById("main");

function draw(section) {
  section.drawn = true;
  section.body.replaceChildren();
  section.draw(section.body);
}

function controls() {
  const metric = document.getElementById("metric");
  const guest = document.getElementById("guest");
  const meaning = document.getElementById("meaning");
  metric.append(...kv.metrics.map((one) => el("option", { value: one.name, text: one.title })));
  metric.value = kv.chosen.metric ?? "";
  const guests = [...new Set(kv.cells.filter((cell) => cell.blocks > 0).map((cell) => cell.guest))];
  guest.append(el("option", { value: "", text: "all" }), ...guests.map((name) => el("option", { value: name, text: name })));
  const explain = () => {
    meaning.textContent = kv.metric()
      ? `${kv.metric().meaning}${kv.metric().better === "neither" ? "" : `; ${kv.metric().better} is better`}`
      : "";
  };
  if (!kv.canUnpack) for (const option of metric.options) option.disabled = option.value !== kv.chosen.metric;
  const follow = async () => {
    const wanted = metric.value;
    await kv.need(wanted);
    if (metric.value !== wanted) return; // another one was chosen meanwhile
    Object.assign(kv.chosen, { metric: wanted, guest: guest.value });
    explain();
    kv.redraw = kv.redraw.filter(([holder]) => holder.isConnected);
    kv.sections.filter((section) => section.follows).forEach(draw);
  };
  metric.addEventListener("change", follow);
  guest.addEventListener("change", follow);
  document.getElementById("controls").addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("controls").hidden = kv.metrics.length === 0;
  explain();
}

// The system's theme unless the reader chose one.
function theme() {
  const select = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const set = () => {
    document.documentElement.dataset.theme = select.value === "auto" ? (system.matches ? "dark" : "light") : select.value;
    document.dispatchEvent(new Event("kvmux-theme"));
  };
  try {
    select.value = localStorage.getItem("kvmux-theme") ?? "auto";
  } catch {
    // A page from disk may have no storage.
  }
  if (select.value === "") select.value = "auto";
  select.addEventListener("change", () => {
    set();
    try {
      localStorage.setItem("kvmux-theme", select.value);
    } catch {
      // Only this page, then.
    }
  });
  system.addEventListener("change", set);
  set();
}

const { compare, traces } = kv.data;
const blocks = kv.cells.reduce((sum, cell) => sum + cell.blocks, 0);
const about = [
  kv.cells.length ? `${kv.cells.length} cell${kv.cells.length === 1 ? "" : "s"}, ${blocks} blocks, policies ${kv.policies.join(", ")}` : "",
  traces.length ? `${traces.length} trace${traces.length === 1 ? "" : "s"}` : "",
  compare.host.cpu_model ? `${compare.host.cpu_model}, ${compare.host.kernel}` : "",
  kv.cells.some((cell) => cell.backend === "sim")
    ? kv.cells.some((cell) => cell.backend !== "sim")
      ? "partly simulated"
      : "simulated"
    : "",
];
document.getElementById("about").textContent = `${about.filter(Boolean).join(" · ")}.`;
kv.notice = (text) => {
  const notice = document.getElementById("notice");
  notice.hidden = false;
  notice.textContent = text;
};
if (!kv.hasCharts)
  kv.notice(
    "Tables only: this kvmux was built without the charting library. With npm and a network at build time (apt-get install npm; then build again) the report has charts.",
  );
if (!kv.canUnpack) kv.notice(kv.cannotUnpack);
// Without a result file only what traces show.
const ofTraces = ["findings", "latency", "yields", "preempted", "ipis", "timeline", "host", "downloads"];
if (kv.metrics.length === 0) kv.sections = kv.sections.filter(({ id }) => ofTraces.includes(id));
controls();
theme();
document.getElementById("sections").append(...kv.sections.map(({ id, title }) => el("li", {}, el("a", { href: `#${id}`, text: title }))));
for (const section of kv.sections) {
  section.body = el("div");
  main.append(
    el(
      "section",
      { id: section.id, "aria-labelledby": `${section.id}-title` },
      el("h2", { id: `${section.id}-title`, text: section.title }),
      section.body,
    ),
  );
}

// What is seen first at once, the rest in turns between which the page answers.
const atOnce = 2;
kv.sections.slice(0, atOnce).forEach(draw);
performance.mark("kvmux-content");
const rest = kv.sections.slice(atOnce);
function drawNext() {
  const section = rest.shift();
  if (section) {
    if (!section.drawn) draw(section); // else a change of the controls drew it meanwhile
    return setTimeout(drawNext);
  }
  if (location.hash.length > 1) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  performance.mark("kvmux-ready");
  document.documentElement.dataset.ready = "yes";
}
setTimeout(drawNext);
