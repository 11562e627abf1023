"use strict";
const say = (part, whole) => (whole ? (part / whole).toFixed(4) : "–");

for (const section of document.querySelectorAll(".threshold")) {
  const points = JSON.parse(section.dataset.points);
  const [slider, button, output] = ["input", "button", "output"].map((name) => section.querySelector(name));
  const cells = [...section.querySelectorAll("[data-count]")];

  function show() {
    const point = points[slider.value];
    const [threshold, found, alarms, rejected, missed] = point;
    for (const cell of cells) {
      const row = cell.dataset.count === "3" || cell.dataset.count === "2" ? rejected + alarms : found + missed;
      const count = point[cell.dataset.count];
      const share = row ? count / row : 0;
      const small = Object.assign(document.createElement("small"), { textContent: `${(100 * share).toFixed(1)}%` });
      cell.replaceChildren(count.toLocaleString("en"), small);
      cell.style.setProperty("--share", share);
    }
    output.textContent = `At ${threshold.toFixed(4)}: precision ${say(found, found + alarms)}, `
      + `recall ${say(found, found + missed)}, F1 ${say(2 * found, 2 * found + alarms + missed)}, `
      + `false positive rate ${say(alarms, alarms + rejected)}, `
      + `accuracy ${say(found + rejected, found + alarms + rejected + missed)}.`;
    slider.setAttribute("aria-valuetext", threshold.toFixed(4));
  }

  slider.addEventListener("input", show);
  button.addEventListener("click", () => { slider.value = section.dataset.own; show(); });
  section.hidden = false;
  // A browser that comes back to the page may have kept the slider's place.
  show();
}

for (const table of document.querySelectorAll(".sortable")) {
  const body = table.tBodies[0];
  const form = table.closest(".scroll").previousElementSibling;
  const [reason, path, output] = ["select", "input", "output"].map((name) => form.querySelector(name));
  const rows = [...body.rows];

  function filter() {
    const wanted = path.value.toLowerCase();
    for (const row of rows) {
      row.hidden = (reason.value && !row.dataset.reasons.split(",").includes(reason.value))
        || !row.cells[0].textContent.toLowerCase().includes(wanted);
    }
    output.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} image${rows.length === 1 ? "" : "s"}`;
  }

  function sort(column, descending) {
    const text = (row) => row.cells[column].textContent;
    const order = (one, other) => {
      const [first, second] = [one, other].map((row) => Number(text(row)));
      // Dashes, which are no numbers, stay last.
      if (!Number.isNaN(first) || !Number.isNaN(second)) {
        return Number.isNaN(first) - Number.isNaN(second) || (descending ? second - first : first - second);
      }
      return text(one).localeCompare(text(other), "en", { numeric: true }) * (descending ? -1 : 1);
    };
    body.append(...[...rows].sort(order));
  }

  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: cell.textContent });
    button.addEventListener("click", () => {
      const descending = cell.getAttribute("aria-sort") === "ascending";
      for (const other of cell.parentElement.cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sort(column, descending);
    });
    cell.replaceChildren(button);
  });
  for (const control of [reason, path]) control.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  filter();
}
