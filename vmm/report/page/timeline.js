// The timeline: zoom, pan and reading by pointer, touch and keyboard.
const kv = window.kv;
const { el, words } = kv;
const reasons = ["preempted", "yielded", "halted", "stopped"];
const least = 2000; // ns

class Timeline {
  constructor(traces) {
    this.panels = kv.timelinePanels(traces);
    this.layout = kv.timelineLayout(this.panels);
    this.whole = [Math.min(...traces.map((trace) => trace.from_ns)), Math.max(...traces.map((trace) => trace.to_ns))];
    this.row = null;
    this.pointers = new Map();
    this.canvas = el("canvas", {
      tabindex: "0",
      role: "application",
      "aria-roledescription": "timeline",
      "aria-label": this.label(),
      id: "timeline-canvas",
    });
    this.note = el("p", { class: "soft", "aria-live": "polite" });
    this.set(...this.start());
    this.listen();
  }
  label() {
    return (
      `Timeline of ${this.panels.map(({ name, trace }) => `${name} with ${trace.vcpus.length} vCPUs on ${trace.workers} workers`).join(" and ")}. ` +
      "Plus and minus zoom, left and right move, zero shows all; up and down choose a vCPU, comma and full stop go through its stays."
    );
  }
  // Some milliseconds: a whole trace is a blur.
  start() {
    return [this.whole[0], Math.min(this.whole[1], this.whole[0] + (innerWidth < 600 ? 3e6 : 8e6))];
  }
  set(from, to) {
    const span = Math.max(least, Math.min(this.whole[1] - this.whole[0], to - from));
    this.from = Math.max(this.whole[0], Math.min(from, this.whole[1] - span));
    this.to = this.from + span;
    this.ask();
  }
  zoom(factor, at = (this.from + this.to) / 2) {
    this.set(at - (at - this.from) * factor, at + (this.to - at) * factor);
  }
  move(share) {
    const by = (this.to - this.from) * share;
    this.set(this.from + by, this.to + by);
  }
  ask() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.draw();
    });
  }
  view() {
    const width = this.canvas.clientWidth || 600;
    const { from, to } = this;
    return {
      from,
      to,
      width,
      row: this.row,
      x: (at) => this.layout.left + ((Math.max(from, Math.min(to, at)) - from) / (to - from)) * (width - this.layout.left),
    };
  }
  draw() {
    const hidden = kv.drawTimeline(this.canvas, this.panels, this.view(), this.layout);
    this.canvas.dataset.from = this.from;
    this.canvas.dataset.to = this.to;
    this.note.textContent = `${(this.from / 1e6).toFixed(3)} ms to ${(this.to / 1e6).toFixed(3)} ms after the measured window began.${hidden ? ` ${words.group(hidden)} arrows are too many to draw: zoom in.` : ""}`;
  }
  timeAt(clientX) {
    const box = this.canvas.getBoundingClientRect();
    return this.from + ((clientX - box.left - this.layout.left) / (box.width - this.layout.left)) * (this.to - this.from);
  }
  rowAt(clientY) {
    const y = clientY - this.canvas.getBoundingClientRect().top;
    for (const panel of this.panels) {
      const vcpu = panel.rows.findIndex((top) => y >= top - 2 && y < top + this.layout.row - 2);
      if (vcpu >= 0) return { panel, vcpu };
    }
    return null;
  }
  words({ panel, vcpu }, [, worker, from, to, why, donated]) {
    return `${panel.name}, vCPU ${panel.trace.vcpus[vcpu]} on worker ${worker}: ${(from / 1e6).toFixed(3)} to ${(to / 1e6).toFixed(3)} ms (${words.time(to - from)}), then ${reasons[why] ?? "left"}${donated ? "; the turn was donated to it" : ""}`;
  }
  hover(event) {
    const row = this.rowAt(event.clientY);
    const at = this.timeAt(event.clientX);
    const stay = row && kv.timelineStays(row.panel, row.vcpu, at, at + 1)[0];
    if (stay) kv.showTip(this.words(row, stay), event.clientX, event.clientY);
    else kv.hideTip();
  }
  listen() {
    const { canvas, pointers } = this;
    canvas.addEventListener("pointerdown", (event) => {
      pointers.set(event.pointerId, event);
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => this.drag(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => pointers.delete(event.pointerId));
    canvas.addEventListener("pointerleave", () => kv.hideTip());
    canvas.addEventListener("blur", () => kv.hideTip());
    canvas.addEventListener("dblclick", (event) => this.zoom(0.4, this.timeAt(event.clientX)));
    // A wheel alone scrolls the page, unless the timeline has been chosen.
    canvas.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey && !event.metaKey && document.activeElement !== canvas) return;
        event.preventDefault();
        this.zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 300))), this.timeAt(event.clientX));
      },
      { passive: false },
    );
    canvas.addEventListener("keydown", (event) => {
      if (this.key(event.key)) event.preventDefault();
    });
    document.addEventListener("kvmux-theme", () => this.ask());
    new ResizeObserver(() => this.ask()).observe(canvas);
  }
  drag(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return this.hover(event);
    if (this.pointers.size === 1) {
      const by = this.timeAt(before.clientX) - this.timeAt(event.clientX);
      this.set(this.from + by, this.to + by);
    } else {
      const other = [...this.pointers.values()].find((one) => one.pointerId !== event.pointerId);
      const [old, now] = [Math.abs(before.clientX - other.clientX), Math.abs(event.clientX - other.clientX)];
      if (old > 10 && now > 10) this.zoom(old / now, this.timeAt((event.clientX + other.clientX) / 2));
    }
    this.pointers.set(event.pointerId, event);
  }
  key(key) {
    const actions = {
      "+": () => this.zoom(0.5),
      "=": () => this.zoom(0.5),
      "-": () => this.zoom(2),
      ArrowLeft: () => this.move(-0.25),
      ArrowRight: () => this.move(0.25),
      0: () => this.set(...this.whole),
      Home: () => this.set(this.whole[0], this.whole[0] + this.to - this.from),
      End: () => this.set(this.whole[1] - (this.to - this.from), this.whole[1]),
      ArrowUp: () => this.chooseRow(-1),
      ArrowDown: () => this.chooseRow(1),
      ",": () => this.chooseStay(-1),
      ".": () => this.chooseStay(1),
      Escape: () => kv.hideTip(),
    };
    if (!actions[key]) return false;
    actions[key]();
    return true;
  }
  chooseRow(step) {
    const all = this.panels.flatMap((panel) => panel.rows.map((_, vcpu) => ({ panel, vcpu })));
    const at = all.findIndex(({ panel, vcpu }) => this.row?.panel === panel && this.row.vcpu === vcpu);
    this.row = all[Math.max(0, Math.min(all.length - 1, at < 0 ? 0 : at + step))];
    this.stay = null;
    const share =
      kv
        .timelineStays(this.row.panel, this.row.vcpu, this.from, this.to)
        .reduce((sum, [, , from, to]) => sum + Math.min(to, this.to) - Math.max(from, this.from), 0) /
      (this.to - this.from);
    kv.say(`${this.row.panel.name}, vCPU ${this.row.panel.trace.vcpus[this.row.vcpu]}: runs ${words.percent(share)} of what is shown`);
    this.ask();
  }
  chooseStay(step) {
    if (!this.row) this.chooseRow(0);
    const list = this.row.panel.stays[this.row.vcpu];
    if (list.length === 0) return;
    const near = list.findIndex((stay) => stay[3] > this.from);
    this.stay = this.stay === null ? Math.max(0, near) : Math.max(0, Math.min(list.length - 1, this.stay + step));
    const stay = list[this.stay];
    if (stay[2] < this.from || stay[3] > this.to) {
      const half = (this.to - this.from) / 2;
      this.set((stay[2] + stay[3]) / 2 - half, (stay[2] + stay[3]) / 2 + half);
    }
    const box = this.canvas.getBoundingClientRect();
    kv.showTip(this.words(this.row, stay), box.left + this.view().x((stay[2] + stay[3]) / 2), box.top + this.row.panel.rows[this.row.vcpu]);
    kv.say(this.words(this.row, stay));
  }
  shares() {
    return this.panels.flatMap((panel) =>
      panel.rows.map((_, vcpu) => {
        const stays = kv.timelineStays(panel, vcpu, this.whole[0], this.whole[1]);
        const ran = stays.reduce((sum, [, , from, to]) => sum + to - from, 0);
        const held = panel.guests[vcpu].filter(([, kind]) => kind === 1).reduce((sum, [, , from, to]) => sum + to - from, 0);
        const span = this.whole[1] - this.whole[0];
        return [
          panel.name,
          panel.trace.vcpus[vcpu],
          words.group(stays.length),
          words.time(ran),
          words.percent(ran / span),
          words.percent(held / span),
        ];
      }),
    );
  }
}

function notes(trace) {
  const list = [];
  if (trace.cut)
    list.push(
      `only up to ${(trace.to_ns / 1e6).toFixed(1)} ms is drawn, more would not be fluent: choose a stretch with --from and --length`,
    );
  if (trace.lost > 0) list.push(`${words.group(trace.lost)} events did not fit into the rings (--trace-events, --trace-stream)`);
  if (trace.missing.length > 0)
    list.push(
      `no events of these kinds: ${trace.missing.join(", ")} (nothing of the kind happened, or its writer does not record them yet)`,
    );
  return list.map((text) => el("p", { class: "soft", text: `${kv.traceName(trace)}: ${text}.` }));
}

kv.section(
  "timeline",
  "Timeline",
  (into) => {
    const traces = kv.data.traces.filter((trace) => trace.vcpus?.length);
    if (traces.length === 0) return into.append(kv.missing("trace"));
    const timeline = new Timeline(traces);
    const button = (text, label, action) => el("button", { type: "button", text, "aria-label": label, onclick: action });
    const workers = Math.min(8, Math.max(...traces.map((trace) => trace.workers)));
    const legend = kv.legend(
      Array.from({ length: workers }, (_, i) => ({
        label: `runs on worker ${i}${traces.some((trace) => trace.workers > 8) ? ", " + (i + 8) + ", …" : ""}`,
        color: `var(--s${i})`,
        box: true,
      })),
    );
    legend.append(
      el("li", { text: "hatched: busy-waits" }),
      el("li", { text: "line below: owns a lock" }),
      el("li", { text: "→ directed yield" }),
      el("li", { text: "⇢ IPI until injected, ∘ EOI" }),
    );
    into.append(
      el("p", {
        class: "soft",
        text: "Drag to move, double-click or pinch to zoom, wheel to zoom once the timeline is chosen. Keys: + − ← → 0; ↑ ↓ choose a vCPU, comma and full stop its stays.",
      }),
      el(
        "div",
        { class: "tools" },
        button("+", "Zoom in", () => timeline.zoom(0.5)),
        button("−", "Zoom out", () => timeline.zoom(2)),
        button("←", "Earlier", () => timeline.move(-0.5)),
        button("→", "Later", () => timeline.move(0.5)),
        button("All", "Show all", () => timeline.set(...timeline.whole)),
      ),
      legend,
      el(
        "figure",
        { "data-chart": "timeline" },
        timeline.canvas,
        timeline.note,
        kv.tableBehind(
          "running time by vCPU over the drawn stretch",
          [["trace", true], ["vCPU", true], ["stays"], ["ran"], ["share"], ["owns a lock"]],
          () => timeline.shares(),
        ),
      ),
      ...traces.flatMap(notes),
    );
  },
  false,
);
