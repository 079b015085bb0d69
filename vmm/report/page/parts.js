// Data and code that are not needed for what is seen first: they stand behind the page's own scripts, packed (zlib,
// base64), and are unpacked, parsed or run when somebody asks for them.
const kv = window.kv;
const { data } = kv;
const canUnpack = typeof DecompressionStream !== "undefined";
const cannot = "This browser is too old to unpack the rest of the page's data: it takes Chrome 80, Firefox 113, Safari 16.4 or later.";

const whole = new Promise((done) => {
  if (document.readyState !== "loading") return done();
  document.addEventListener("DOMContentLoaded", done, { once: true });
});

async function unpacked(name) {
  const plain = document.getElementById(`part-${name}`);
  if (plain) return JSON.parse(plain.textContent);
  if (!canUnpack) throw new Error(cannot);
  await whole;
  const text = atob(document.getElementById(`packed-${name}`).textContent);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; ++i) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

// Puts a metric's figures where they belong.
function adopt(name, part) {
  data.sentences[name] = part.sentences;
  data.compare.cells.forEach((cell, c) =>
    cell.policies.forEach((entry, p) => {
      const [finding, pairs, settle] = [part.findings[c][p], part.pairs[c][p], part.settle[c][p]];
      const details = data.details[c].policies[p];
      if (finding) entry.metrics[name] = finding;
      if (pairs) details.pairs[name] = pairs;
      if (settle) details.settle[name] = settle;
    }),
  );
}

// The curves of acknowledgement times.
function adoptCurves(curves) {
  data.details.forEach((cell, c) =>
    cell.policies.forEach((entry, p) => {
      if (curves[c][p]) entry.ack.cdf = curves[c][p];
    }),
  );
}

const asked = new Map();
// Until then data lacks what the part holds: a metric by name, or "cdf". Each is parsed once.
kv.need = (name) => {
  if (!data.parts.includes(name)) return Promise.resolve();
  if (!asked.has(name)) asked.set(name, unpacked(name).then((part) => (name === "cdf" ? adoptCurves(part) : adopt(name, part))));
  return asked.get(name);
};
kv.csv = () => unpacked("csv");
kv.canUnpack = canUnpack;
kv.cannotUnpack = cannot;

// All of the report, as one object.
kv.whole = async () => {
  for (const name of data.parts) await kv.need(name);
  const { parts, first, ...all } = data;
  return all;
};

// What is drawn first is there from the beginning.
if (data.first) {
  adopt(data.first, JSON.parse(document.getElementById(`part-${data.first}`).textContent));
  asked.set(data.first, Promise.resolve());
}

let library = null;
let libraryCame;
const libraryText = new Promise((done) => {
  libraryCame = done;
});
kv.libraryIsHere = libraryCame;
kv.library = () => {
  library ??= libraryText.then(() => {
    for (const name of ["d3", "plot"]) document.head.append(kv.el("script", { text: document.getElementById(`library-${name}`).textContent }));
  });
  return library;
};
