// A result file of many runs, made from a small one: big.mjs SMALL RUNS COPIES > BIG. Cells are multiplied, values vary.
import { readFileSync } from "node:fs";

const lines = readFileSync(process.argv[2], "utf8")
  .trimEnd()
  .split("\n")
  .map((line) => JSON.parse(line));
const wanted = Number(process.argv[3]);
const cells = lines.filter((line) => line.kind === "cell");
const runs = lines.filter((line) => line.kind === "run");
const copies = Number(process.argv[4]);
const blocks = Math.ceil(wanted / (copies * cells.reduce((sum, cell) => sum + cell.labels.length, 0)));
let state = 1;
const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
const print = (line) => process.stdout.write(JSON.stringify(line) + "\n");
lines.filter((line) => line.kind === "session").forEach(print);
let left = wanted;
for (let copy = 0; copy < copies; ++copy) {
  for (const cell of cells) print({ ...cell, key: `${cell.key}${copy}`, workers: cell.workers + copy });
}
for (let block = 0; block < blocks; ++block) {
  for (let copy = 0; copy < copies; ++copy) {
    for (const cell of cells) {
      for (let slot = 0; slot < cell.labels.length && left > 0; ++slot, --left) {
        const like = runs.filter((run) => run.cell === cell.key && run.slot === slot);
        const run = like[Math.floor(random() * like.length)];
        const metrics = Object.fromEntries(Object.entries(run.metrics).map(([name, value]) => [name, value * (0.95 + 0.1 * random())]));
        print({ ...run, cell: `${cell.key}${copy}`, block, attempt: 0, metrics });
      }
    }
  }
}
