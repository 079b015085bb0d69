// Draws stretches of traces above each other onto a canvas: a row a vCPU, coloured by worker, hatched while it
// busy-waits, a line below while it owns a lock; arrows for directed yields and IPIs. Knows no input.
const kv = window.kv;

const left = 52;
const title = 22;
const gap = 8;
const axis = 24;
const mostArrows = 400;

// By vCPU, in time order: found by bisection.
function byVcpu(trace, list, vcpu) {
  const rows = trace.vcpus.map(() => []);
  for (const entry of list) rows[entry[vcpu]]?.push(entry);
  return rows;
}

kv.timelinePanels = (traces) =>
  traces.map((trace) => ({
    trace,
    name: kv.traceName(trace),
    stays: byVcpu(trace, trace.timeline.stays, 0),
    guests: byVcpu(trace, trace.timeline.guests, 0),
    yields: trace.timeline.yields,
    ipis: trace.timeline.ipis,
  }));

kv.timelineLayout = (panels) => {
  const vcpus = panels.reduce((sum, { trace }) => sum + trace.vcpus.length, 0);
  const row = vcpus > 48 ? 11 : 19;
  let y = 4;
  for (const panel of panels) {
    y += title;
    panel.rows = [];
    let vcpu = 0;
    for (const vm of panel.trace.vms) {
      for (let i = 0; i < vm.vcpus; ++i, ++vcpu, y += row) panel.rows.push(y);
      y += gap;
    }
  }
  return { height: y + axis, row, bar: row - 7, left };
};

const colors = () => {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    of,
    workers: [0, 1, 2, 3, 4, 5, 6, 7].map((i) => of(`s${i}`)),
    text: of("text"),
    soft: of("soft"),
    line: of("line"),
    lock: of("lock"),
    hatch: of("hatch"),
    bg: of("bg"),
    focus: of("focus"),
  };
};

function hatch(context, color) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 5;
  const pen = tile.getContext("2d");
  pen.strokeStyle = color;
  pen.lineWidth = 1.6;
  for (const shift of [-5, 0, 5]) {
    pen.beginPath();
    pen.moveTo(shift - 1, 6);
    pen.lineTo(shift + 6, -1);
    pen.stroke();
  }
  return context.createPattern(tile, "repeat");
}

// The first entry of [vcpu, …, from, to, …] that ends after `from`.
function first(list, from) {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle][3] <= from) low = middle + 1;
    else high = middle;
  }
  return low;
}
kv.timelineStays = (panel, vcpu, from, to) => {
  const list = panel.stays[vcpu] ?? [];
  const found = [];
  for (let i = first(list, from); i < list.length && list[i][2] < to; ++i) found.push(list[i]);
  return found;
};

function drawRow(pen, panel, vcpu, view, layout, paint) {
  const y = panel.rows[vcpu];
  pen.fillStyle = paint.soft;
  if (layout.row > 12 || vcpu % 2 === 0) pen.fillText(panel.trace.vcpus[vcpu], 4, y + layout.bar / 2 + 4);
  pen.fillStyle = paint.line;
  pen.fillRect(left, y + layout.bar / 2, view.width - left, 1);
  const stays = kv.timelineStays(panel, vcpu, view.from, view.to);
  const guests = [];
  for (let i = first(panel.guests[vcpu], view.from); i < panel.guests[vcpu].length && panel.guests[vcpu][i][2] < view.to; ++i)
    guests.push(panel.guests[vcpu][i]);
  for (const stay of stays) {
    pen.fillStyle = paint.workers[stay[1] % 8];
    pen.fillRect(view.x(stay[2]), y, Math.max(0.6, view.x(stay[3]) - view.x(stay[2])), layout.bar);
  }
  for (const [, kind, from, to] of guests) {
    if (kind === 1) {
      pen.fillStyle = paint.lock;
      pen.fillRect(view.x(from), y + layout.bar + 1, Math.max(0.6, view.x(to) - view.x(from)), 3);
      continue;
    }
    pen.fillStyle = paint.pattern;
    for (const stay of stays) {
      const [begin, end] = [Math.max(from, stay[2]), Math.min(to, stay[3])];
      if (end > begin) pen.fillRect(view.x(begin), y, view.x(end) - view.x(begin), layout.bar);
    }
  }
  if (view.row?.panel === panel && view.row.vcpu === vcpu) {
    pen.strokeStyle = paint.focus;
    pen.lineWidth = 2;
    pen.strokeRect(left - 2, y - 2, view.width - left + 1, layout.bar + 4);
    pen.lineWidth = 1;
  }
}

function arrow(pen, x1, y1, x2, y2) {
  const angle = Math.atan2(y2 - y1, x2 - x1);
  pen.beginPath();
  pen.moveTo(x1, y1);
  pen.lineTo(x2, y2);
  pen.lineTo(x2 - 6 * Math.cos(angle - 0.45), y2 - 6 * Math.sin(angle - 0.45));
  pen.moveTo(x2, y2);
  pen.lineTo(x2 - 6 * Math.cos(angle + 0.45), y2 - 6 * Math.sin(angle + 0.45));
  pen.stroke();
}

// Returns what was too much to draw.
function drawArrows(pen, panel, view, layout, paint) {
  const inside = (at) => at >= view.from && at < view.to;
  const middle = (vcpu) => panel.rows[vcpu] + layout.bar / 2;
  const yields = panel.yields.filter(([from, to, at]) => inside(at) && panel.rows[from] !== undefined && panel.rows[to] !== undefined);
  const ipis = panel.ipis.filter(([from, to, , sent]) => inside(sent) && panel.rows[from] !== undefined && panel.rows[to] !== undefined);
  pen.strokeStyle = paint.text;
  if (yields.length <= mostArrows) for (const [from, to, at] of yields) arrow(pen, view.x(at), middle(from), view.x(at), middle(to));
  pen.strokeStyle = paint.lock;
  pen.setLineDash([3, 2]);
  if (ipis.length <= mostArrows) {
    for (const [from, to, , sent, injected, eoi] of ipis) {
      if (injected === null) continue;
      arrow(pen, view.x(sent), middle(from), view.x(injected), middle(to));
      if (eoi !== null) {
        pen.beginPath();
        pen.arc(view.x(eoi), middle(to), 2.5, 0, 7);
        pen.stroke();
      }
    }
  }
  pen.setLineDash([]);
  return (yields.length > mostArrows ? yields.length : 0) + (ipis.length > mostArrows ? ipis.length : 0);
}

// view: { from, to (ns), width, x(ns) → pixels, row? }
kv.drawTimeline = (canvas, panels, view, layout) => {
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(view.width * ratio);
  canvas.height = Math.round(layout.height * ratio);
  canvas.style.height = `${layout.height}px`;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.font = "11px system-ui, sans-serif";
  const paint = colors();
  paint.pattern = hatch(pen, paint.hatch);
  let hidden = 0;
  for (const panel of panels) {
    pen.fillStyle = paint.text;
    pen.font = "600 12px system-ui, sans-serif";
    pen.fillText(panel.name, 4, panel.rows[0] - 7);
    pen.font = "11px system-ui, sans-serif";
    pen.save();
    panel.rows.forEach((_, vcpu) => drawRow(pen, panel, vcpu, view, layout, paint));
    pen.beginPath();
    pen.rect(left, 0, view.width - left, layout.height);
    pen.clip();
    hidden += drawArrows(pen, panel, view, layout, paint);
    pen.restore();
  }
  drawAxis(pen, view, layout, paint);
  return hidden;
};

function drawAxis(pen, view, layout, paint) {
  const span = view.to - view.from;
  const rough = span / Math.max(2, view.width / 110);
  const step = [1, 2, 5, 10].map((digit) => digit * 10 ** Math.floor(Math.log10(rough))).find((value) => value >= rough);
  pen.fillStyle = paint.soft;
  for (let at = Math.ceil(view.from / step) * step; at <= view.to; at += step) {
    pen.fillRect(view.x(at), layout.height - axis, 1, 5);
    const text = `${Number((at / 1e6).toFixed(6))} ms`;
    const wide = pen.measureText(text).width;
    pen.fillText(text, Math.max(left, Math.min(view.width - wide - 2, view.x(at) - wide / 2)), layout.height - 6);
  }
}
