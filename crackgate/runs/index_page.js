"use strict";
const facts = JSON.parse(document.getElementById("facts").textContent);
const rows = [...document.querySelectorAll("#runs tr")];
const [words, count, first, second, pair] =
  ["words", "count", "first", "second", "pair"].map((id) => document.getElementById(id));

function filter() {
  const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of rows) row.hidden = !wanted.every((word) => row.dataset.words.includes(word));
  count.value = `${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
}

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function addTable(title, head, lines) {
  if (!lines.length) return;
  const box = element("div", "", { class: "scroll", tabindex: "0", role: "region", "aria-label": title });
  const table = element("table", "");
  const top = table.createTHead().insertRow();
  for (const text of ["", ...head]) top.append(element("th", text, { scope: "col", class: "text" }));
  const body = table.createTBody();
  for (const [name, ...cells] of lines) {
    const row = body.insertRow();
    row.append(element("th", name, { scope: "row" }), ...cells.map((text) => element("td", text)));
  }
  box.append(table);
  pair.append(element("h3", title), box);
}

function union(a, b) {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])];
}

function compare() {
  const [a, b] = [facts[first.value], facts[second.value]];
  pair.replaceChildren();
  const same = a.splits !== null && a.splits === b.splits;
  const said = same
    ? "Both have the same test images."
    : "Their test images are not known to be the same: metrics are not comparable, and no differences are given.";
  pair.append(element("p", said));
  const head = [a.run, b.run];
  addTable("Metrics", same ? [...head, "difference"] : head, union(a.metrics, b.metrics).map((name) => {
    const [[one, x], [other, y]] = [a.metrics[name] ?? ["–", null], b.metrics[name] ?? ["–", null]];
    if (!same) return [name, one, other];
    const known = x !== null && y !== null;
    return [name, one, other, known ? (y < x ? "" : "+") + (y - x).toFixed(4) : "–"];
  }));
  for (const title of ["Data", "Configuration", "Versions", "Seconds"]) {
    const lines = union(a[title], b[title]).map((name) => [name, a[title][name] ?? "–", b[title][name] ?? "–"]);
    const differ = ["Configuration", "Versions"].includes(title);
    const shown = differ ? lines.filter(([, one, other]) => one !== other) : lines;
    addTable(differ ? `${title}, where they differ` : title, head, shown);
    if (title === "Configuration" && !(a.configured && b.configured)) {
      pair.append(element("p", "The configuration of a run without a summary is not known."));
    }
  }
}

document.getElementById("noscript").hidden = true;
document.getElementById("filter").hidden = false;
words.addEventListener("input", filter);
filter();
if (facts.length > 1) {
  document.getElementById("choice").hidden = false;
  // The newest run beside the one before it.
  first.value = "1";
  second.value = "0";
  for (const choice of [first, second]) choice.addEventListener("change", compare);
  compare();
} else {
  pair.append(element("p", "There is no second run."));
}
