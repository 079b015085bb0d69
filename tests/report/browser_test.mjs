// Drives the report: no errors, fits both sizes, light and dark, zoom, hover, keyboard, and numbers equal to the JSON.
// browser_test.mjs FOLDER DRIVER
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";

const [folder, driver] = process.argv.slice(2);
const { chromium } = createRequire(`${driver}/`)("playwright-core");
const shots = process.env.KVMUX_SHOTS;
if (shots) mkdirSync(shots, { recursive: true });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});

async function open(file, { width = 1280, height = 900, scheme = "light" } = {}) {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: scheme,
    offline: true,
    acceptDownloads: true,
    hasTouch: width < 600,
  });
  const page = await context.newPage();
  page.errors = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) page.errors.push(message.text());
  });
  page.on("pageerror", (error) => page.errors.push(String(error)));
  page.on("request", (request) => {
    if (!/^(file|data|blob):/.test(request.url())) page.errors.push(`asks for ${request.url()}`);
  });
  await page.goto(`file://${folder}/${file}`);
  await page.waitForSelector("html[data-ready=yes]", { timeout: 60000 });
  page.data = await page.evaluate(() => kv.whole());
  return page;
}

// Polls until it is true, or fails.
async function until(what, condition) {
  for (const begin = Date.now(); Date.now() - begin < 20000; ) if (await condition()) return;
  assert.fail(what);
}

// Everything into view once, so that all charts are drawn. One look a turn: what is pending at one may be drawn
// at the next.
async function drawAll(page) {
  await until("charts are drawn when they come into view", () =>
    page.evaluate(() => {
      const holder = document.querySelector("[data-pending]");
      if (holder === null) return true;
      holder.scrollIntoView();
      return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(false))));
    }),
  );
  await page.evaluate(() => scrollTo(0, 0));
}

async function close(page, what) {
  assert.deepEqual(page.errors, [], `${what}: console`);
  await page.context().close();
}

const throughput = (page) =>
  page.data.compare.cells.flatMap((cell) =>
    cell.policies.map((policy) => policy.metrics.throughput).filter((finding) => finding?.ratio !== undefined),
  );

async function looks(width, height, scheme) {
  const what = `${width} px, ${scheme}`;
  const page = await open("report.html", { width, height, scheme });
  await drawAll(page);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= width, `${what}: the page is ${wide} px wide`);
  const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.equal(background, scheme === "dark" ? "rgb(20, 23, 27)" : "rgb(255, 255, 255)", what);
  const empty = await page.evaluate(() =>
    [...document.querySelectorAll("main section")]
      .filter((section) => section.lastElementChild.textContent.trim().length < 20)
      .map((section) => section.id),
  );
  assert.deepEqual(empty, [], `${what}: sections without content`);
  const charts = await page.evaluate(() =>
    [...document.querySelectorAll("svg.chart")].map((chart) => ({
      label: chart.getAttribute("aria-label"),
      marks: chart.querySelectorAll("path,circle,rect,line").length,
    })),
  );
  assert.ok(
    charts.length > 20 && charts.every(({ label, marks }) => label.length > 20 && marks > 3),
    `${what}: ${charts.length} charts with text alternatives and marks`,
  );
  if (shots) {
    await page.addStyleTag({ content: ".controls { position: static !important; }" }); // it would hide what is below
    await page.screenshot({ path: `${shots}/${width}-${scheme}.png`, fullPage: true });
    for (const id of await page.evaluate(() => [...document.querySelectorAll("main section")].map((section) => section.id))) {
      await page.locator(`#${id}`).screenshot({ path: `${shots}/${width}-${scheme}-${id}.png` });
    }
  }
  await close(page, what);
}

// What the page shows, the JSON inside it, the CSV of `compare` and its table are the same numbers.
async function numbers() {
  const page = await open("report.html");
  const counts = await page.evaluate(() =>
    Object.fromEntries(
      [...document.querySelectorAll(".counts li")].map((item) => [
        item.dataset.verdict,
        Number(item.querySelector("b").textContent.split(" ")[1]),
      ]),
    ),
  );
  const { text, ...told } = page.data.counts.throughput;
  assert.deepEqual(counts, told);
  assert.deepEqual(page.data.compare.cells, JSON.parse(readFileSync(`${folder}/findings.json`, "utf8")).cells, "the JSON of compare --json");
  const terminal = readFileSync(`${folder}/again.txt`, "utf8");
  const findings = throughput(page);
  assert.ok(findings.length >= 8);
  for (const { ratio, low, high } of findings) {
    const line = `${ratio.toFixed(3)}  ${low.toFixed(3)} … ${high.toFixed(3)}`;
    assert.ok(terminal.includes(line), `the table has ${line}`);
  }
  await page.evaluate(() =>
    document.querySelectorAll("#forest details").forEach((details) => {
      details.open = true;
    }),
  );
  await page.waitForSelector("#forest table");
  const shown = await page.evaluate(() =>
    [...document.querySelectorAll("#forest tbody tr")].map((row) => row.children[5].textContent).filter(Boolean),
  );
  assert.deepEqual(
    shown,
    findings.map(({ ratio }) => ratio.toFixed(3)),
  );
  const sentences = await page.locator("#findings .sentences li").allInnerTexts();
  assert.equal(sentences.length, findings.length);
  findings.forEach(({ ratio, low, high }, i) =>
    assert.ok(sentences[i].includes(ratio.toFixed(3)) && sentences[i].includes(`${low.toFixed(3)} … ${high.toFixed(3)}`), sentences[i]),
  );
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#save-findings")]);
  assert.equal(
    readFileSync(await download.path(), "utf8"),
    readFileSync(`${folder}/findings.csv`, "utf8"),
    "the downloaded CSV is that of compare --csv",
  );
  const [runs] = await Promise.all([page.waitForEvent("download"), page.click("#save-runs")]);
  const lines = readFileSync(`${folder}/runs.jsonl`, "utf8")
    .trimEnd()
    .split("\n")
    .filter((line) => line.includes('"kind":"run"'));
  assert.equal(
    readFileSync(await runs.path(), "utf8")
      .trimEnd()
      .split("\n").length,
    lines.length + 1,
  );
  const [json] = await Promise.all([page.waitForEvent("download"), page.click("#save-json")]);
  assert.deepEqual(JSON.parse(readFileSync(await json.path(), "utf8")), page.data);
  await close(page, "numbers");
}

async function hoverAndKeys() {
  const page = await open("report.html");
  const chart = page.locator("#forest svg.chart").first();
  await chart.scrollIntoViewIfNeeded();
  await chart.focus();
  await page.keyboard.press("ArrowRight");
  const first = page.data.compare.cells[0].policies[1].metrics.throughput;
  const said = await page.locator("#said").textContent();
  assert.ok(said.includes(`${first.ratio.toFixed(3)} (${first.low.toFixed(3)} … ${first.high.toFixed(3)})`), said);
  await page.keyboard.press("End");
  const last = await page.locator("#said").textContent();
  assert.notEqual(last, said);
  const ring = await chart.evaluate((node) => {
    const box = node.getBoundingClientRect();
    const mark = node.querySelector("circle[visibility=visible]");
    return { x: box.x + Number(mark.getAttribute("cx")), y: box.y + Number(mark.getAttribute("cy")) };
  });
  await page.keyboard.press("Escape");
  assert.ok(await page.locator("#tip").isHidden());
  await page.mouse.move(ring.x, ring.y);
  await until(
    "hover says what keys say",
    async () => (await page.locator("#tip").textContent()) === last && page.locator("#tip").isVisible(),
  );
  await page.selectOption("#metric", "fairness");
  assert.ok((await page.locator("#findings .sentences li").first().innerText()).includes("fairness of"));
  await page.selectOption("#guest", { index: 1 });
  assert.equal(await page.locator("#forest h3").count(), 1);
  await page.selectOption("#theme", "dark");
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(20, 23, 27)");
  await close(page, "hover and keys");
}

async function zoom() {
  const page = await open("report.html");
  const canvas = page.locator("#timeline-canvas");
  await canvas.scrollIntoViewIfNeeded();
  const span = () =>
    canvas.evaluate(
      (node) =>
        new Promise((done) =>
          requestAnimationFrame(() => requestAnimationFrame(() => done([Number(node.dataset.from), Number(node.dataset.to)]))),
        ),
    );
  const ink = () =>
    canvas.evaluate((node) => {
      const { data } = node.getContext("2d").getImageData(0, 0, node.width, node.height);
      let sum = 0;
      for (let i = 3; i < data.length; i += 4) sum += data[i] > 0;
      return sum;
    });
  const [from, to] = await span();
  assert.ok((await ink()) > 5000, "the timeline is drawn");
  await canvas.focus();
  await page.keyboard.press("+");
  let [a, b] = await span();
  assert.ok(Math.abs(b - a - (to - from) / 2) < 2, "plus halves the stretch");
  await page.keyboard.press("ArrowRight");
  [a] = await span();
  assert.ok(a > from, "right moves on");
  await page.keyboard.press("0");
  [a, b] = await span();
  assert.deepEqual([a, b], [page.data.traces[0].from_ns, page.data.traces[0].to_ns], "zero shows all");
  const box = await canvas.boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + 40);
  await page.mouse.wheel(0, -300);
  await until("the wheel zooms a focused timeline", async () => {
    const [c, d] = await span();
    return d - c < (b - a) / 2;
  });
  const [c] = await span();
  await page.mouse.down();
  await page.mouse.move(box.x + box.width / 2 - 100, box.y + 40, { steps: 3 });
  await page.mouse.up();
  await until("dragging left shows what is later", async () => (await span())[0] > c);
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press(".");
  assert.match(await page.locator("#said").textContent(), /vCPU 0\.0 on worker \d+: [\d.]+ to [\d.]+ ms/);
  await page.getByRole("button", { name: "Show all" }).click();
  assert.deepEqual(await span(), [a, b]);
  // Running time by vCPU: the table against the JSON.
  await page.evaluate(() => {
    document.querySelector("#timeline details").open = true;
  });
  await page.waitForSelector("#timeline table");
  const stays = await page.evaluate(() => document.querySelector("#timeline tbody tr").children[2].textContent);
  assert.equal(Number(stays.replaceAll(",", "")), page.data.traces[0].timeline.stays.filter(([vcpu]) => vcpu === 0).length);
  await close(page, "zoom");
}

// The build without npm.
async function bare() {
  const page = await open("bare.html", { width: 390, height: 844 });
  assert.ok(await page.locator("#notice").isVisible());
  assert.equal(await page.locator("svg.chart").count(), 0);
  assert.ok((await page.locator("main table").count()) > 10);
  assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 390);
  if (shots) await page.screenshot({ path: `${shots}/bare.png` });
  await close(page, "without charts");
}

// Metrics that are not drawn first are unpacked when they are chosen; a page that cannot unpack says so.
async function withoutUnpacking() {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, offline: true });
  const page = await context.newPage();
  await page.addInitScript(() => delete globalThis.DecompressionStream);
  await page.goto(`file://${folder}/report.html`);
  await page.waitForSelector("html[data-ready=yes]", { timeout: 60000 });
  assert.match(await page.locator("#notice").textContent(), /too old to unpack/);
  assert.ok((await page.locator("#findings .sentences li").count()) >= 8, "the first metric is there all the same");
  assert.equal(await page.locator("#metric option:not([disabled])").count(), 1);
  await context.close();
}

// Milliseconds until the first findings can be read, and until all sections are there and the first chart is drawn.
async function opens(file) {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 900 }, offline: true })).newPage();
  await page.goto(`file://${folder}/${file}`);
  await page.waitForSelector("html[data-ready=yes]", { timeout: 60000 });
  await page.waitForSelector("#forest svg.chart", { timeout: 60000 });
  const times = await page.evaluate(() => {
    const at = (name) => performance.getEntriesByName(name)[0].startTime;
    return { content: at("kvmux-content"), ready: Math.max(at("kvmux-ready"), at("kvmux-chart")) };
  });
  await page.context().close();
  return times;
}
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

// A page of 10,000 runs is small and opens like one of 72: alternately, because the host is not equally fast all the time.
async function big(file, times = 3) {
  if (!existsSync(`${folder}/${file}`)) return;
  const bytes = statSync(`${folder}/${file}`).size;
  const [small, large] = [[], []];
  for (let i = 0; i < times; ++i) {
    small.push(await opens("runs.html"));
    large.push(await opens(file));
  }
  const of = (list, key) => Math.round(median(list.map((one) => one[key])));
  const cells = (list) => `findings after ${of(list, "content")} ms, all after ${of(list, "ready")} ms`;
  console.log(`10,000 runs (${file}): ${(bytes / 1e6).toFixed(2)} MB, ${cells(large)}; 72 runs: ${cells(small)}`);
  assert.ok(bytes < 10e6, `${file} has ${bytes} bytes`);
  assert.ok(of(large, "content") < 5 * of(small, "content") + 500, "what is seen first does not wait for the rest");
  const page = await open(file);
  const more = page.locator("#findings details").first();
  const told = page.data.sentences.throughput.length;
  if (told > 24) {
    await more.locator("summary").click();
    await until("the other findings are there when asked for", async () => (await page.locator("#findings .sentences li").count()) === told);
  }
  const points = page.locator("#pairs svg.chart").first();
  await page.locator("#pairs").scrollIntoViewIfNeeded();
  await points.scrollIntoViewIfNeeded();
  const dots = await points.evaluate((chart) => ({
    elements: chart.querySelectorAll("*").length,
    told: [...chart.querySelectorAll("path[data-dots]")].reduce((sum, path) => sum + Number(path.dataset.dots), 0),
    drawn: [...chart.querySelectorAll("path[data-dots]")].reduce((sum, path) => sum + (path.getAttribute("d").match(/Z/g)?.length ?? 0), 0),
  }));
  const pairs = page.data.details[0].policies.reduce((sum, { pairs }) => sum + (pairs.throughput?.filter((ratio) => ratio !== null).length ?? 0), 0);
  assert.ok(dots.told >= pairs && pairs > 2 && dots.drawn > pairs / 3 && dots.elements < 150, JSON.stringify({ ...dots, pairs }));
  if (shots) await page.screenshot({ path: `${shots}/${file}.png` });
  await close(page, file);
}

try {
  for (const [width, height] of [
    [1280, 900],
    [390, 844],
  ])
    for (const scheme of ["light", "dark"]) await looks(width, height, scheme);
  await numbers();
  await hoverAndKeys();
  await zoom();
  await bare();
  await withoutUnpacking();
  await big("big.html");
  await big("many-cells.html", 5);
  console.log("report_browser: ok");
} finally {
  await browser.close();
}
