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
  page.data = await page.evaluate(() => JSON.parse(document.getElementById("data").textContent));
  return page;
}

// Polls until it is true, or fails.
async function until(what, condition) {
  for (const begin = Date.now(); Date.now() - begin < 20000; ) if (await condition()) return;
  assert.fail(what);
}

// Everything into view once, so that all charts are drawn.
async function drawAll(page) {
  const pending = page.locator("[data-pending]");
  await until("charts are drawn when they come into view", async () => {
    if ((await pending.count()) === 0) return true;
    await pending.first().evaluate((holder) => {
      holder.scrollIntoView();
      return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    });
    return false;
  });
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
      .filter((section) => section.innerText.trim().split("\n").length < 2)
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

async function big() {
  if (!existsSync(`${folder}/big.html`)) return;
  const bytes = statSync(`${folder}/big.html`).size;
  const begin = Date.now();
  const page = await open("big.html");
  const took = Date.now() - begin;
  console.log(`10,000 runs: ${(bytes / 1e6).toFixed(2)} MB, ready after ${took} ms`);
  assert.ok(bytes < 10e6);
  if (shots) await page.screenshot({ path: `${shots}/big.png` });
  await close(page, "10,000 runs");
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
  await big();
  console.log("report_browser: ok");
} finally {
  await browser.close();
}
