const find = (id) => document.getElementById(id);
const percent = (score) => `${(100 * score).toFixed(1)} %`;
const counted = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
const wait = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
// Others may be asking, too.
const MOST_TRIES = 20;
// Each keeps a picture in the browser's memory.
const MOST_PHOTOGRAPHS = 100;
let token = "";
let run = 0;
let waiting = [];
const addresses = [];

async function describeService() {
  const state = await (await fetch("/readyz")).json();
  const refused = state.refused ? ` Version ${state.refused.version} was refused.` : "";
  find("service").textContent = state.ready
    ? `Version ${state.version} answers.${refused}`
    : "No version is ready yet; try again in a moment.";
}

function begin(files) {
  find("problem").textContent = files.length > MOST_PHOTOGRAPHS
    ? `Error: ${files.length} photographs received, ${MOST_PHOTOGRAPHS} are allowed at once: crackgate inspect takes any number`
    : "";
  if (files.length > MOST_PHOTOGRAPHS) return;
  find("results").replaceChildren();
  find("rows").replaceChildren();
  find("overview").hidden = true;
  addresses.splice(0).forEach((address) => URL.revokeObjectURL(address));
  waiting = files;
  Object.assign(find("progress"), { max: files.length, value: 0 });
  examineAll();
}

async function examineAll() {
  const number = ++run;
  const total = find("progress").max;
  find("progress").hidden = false;
  while (waiting.length && number === run) {
    const file = waiting[0];
    find("service").textContent = `Looking at ${total - waiting.length + 1} of ${total}: ${file.name} ...`;
    let answer;
    try {
      answer = await ask(file, number);
    } catch (error) {
      answer = { error: error.message };
    }
    if (number !== run) return;
    if (answer.needsToken) {
      find("problem").textContent = `Error: ${answer.error}`;
      find("token-form").hidden = false;
      find("token").focus();
      break;
    }
    waiting.shift();
    find("progress").value = total - waiting.length;
    await show(file, answer, total);
    if (number !== run) return;
  }
  find("progress").hidden = true;
  describeService().catch(() => {});
}

async function ask(file, number) {
  const headers = { "Content-Type": "application/octet-stream" };
  if (token) headers.Authorization = `Bearer ${token}`;
  const tile = find("tile").value ? `?tile=${encodeURIComponent(find("tile").value)}` : "";
  for (let tries = 1; ; tries += 1) {
    const response = await fetch(`/heatmap${tile}`, { method: "POST", body: file, headers });
    const answer = await response.json();
    if (response.status === 429 && tries < MOST_TRIES && number === run) {
      await wait(3);
      continue;
    }
    return response.ok ? answer : { error: answer.error, needsToken: response.status === 401 };
  }
}

async function show(file, answer, total) {
  const article = find("result").content.cloneNode(true).firstElementChild;
  const [heading, image, heat] = ["h2", "img", ".heat"].map((name) => article.querySelector(name));
  heading.textContent = answer.error ? "Not inspected" : sayVerdict(answer);
  article.querySelector(".name").textContent = answer.error ? file.name
    : `${file.name}, ${answer.width} x ${answer.height} pixels`;
  article.querySelector(".tiles").textContent = answer.error ?? sayTiles(answer);
  find("results").append(article);
  if (answer.error) {
    for (const part of [".view", ".controls", ".downloads", ".whole"]) article.querySelector(part).remove();
    if (total === 1) find("problem").textContent = `Error: ${answer.error}`;
  } else {
    article.querySelector(".layers").style.setProperty("--ratio", answer.width / answer.height);
    image.src = keep(file);
    image.alt = `The photograph ${file.name}`;
    article.querySelector(".view").setAttribute("aria-label", `The photograph ${file.name}, enlarged by zoom`);
    // The service reads formats that the browser does not show.
    const isShown = await image.decode().then(() => true, () => false);
    // Other photographs were chosen meanwhile.
    if (!article.isConnected) return;
    if (!isShown) image.remove();
    showScores(article.querySelector(".whole"), answer.whole);
    if (answer.map) {
      drawHeat(heat, answer, isShown);
      addControls(article);
    } else {
      heat.remove();
      article.querySelector(".view").hidden = !isShown;
    }
    addDownloads(article.querySelector(".downloads"), file, answer, isShown ? image : null, heat);
  }
  addRow(file, answer, article);
  if (total === 1) heading.focus();
}

function addRow(file, { error, map, whole }, article) {
  const link = Object.assign(document.createElement("a"), { href: "#", textContent: file.name });
  link.addEventListener("click", (event) => {
    event.preventDefault();
    article.querySelector("h2").focus();
    article.scrollIntoView();
  });
  const row = document.createElement("tr");
  const cells = [document.createElement("th"), document.createElement("td")];
  cells[0].scope = "row";
  cells[0].append(link);
  cells[1].textContent = error ?? (map ? `${map.positive} of ${counted(map.tiles, "tile")}` : whole.error || whole.label);
  // Most tiles first, what could not be inspected last.
  row.dataset.found = error ? -1 : map?.positive ?? 0;
  row.dataset.inspected = error ? "" : map ? "by tiles" : "as a whole";
  row.append(...cells);
  const rows = [...find("rows").children];
  find("rows").insertBefore(row, rows.find((other) => Number(other.dataset.found) < row.dataset.found) ?? null);
  const inspected = [...rows, row].filter((one) => one.dataset.inspected);
  const found = inspected.filter((one) => one.dataset.found > 0).length;
  const failed = rows.length + 1 - inspected.length;
  // A model without a positive class looks for nothing.
  const seeks = inspected.some((one) => one.dataset.inspected === "by tiles");
  find("found").textContent = `${seeks ? `${found} of ` : ""}${counted(inspected.length, "photograph")}`
    + (seeks ? " with findings" : "") + (failed ? `, ${failed} not inspected` : "");
  find("overview").hidden = rows.length === 0;
}

function keep(content) {
  addresses.push(URL.createObjectURL(content));
  return addresses.at(-1);
}

function sayVerdict({ whole, map, positive_classes }) {
  // A photograph of a whole wall, shrunk to the input, shows the network no crack: its tiles decide.
  if (!whole) return `${positive_classes.join(" or ")} in ${map.positive || "none"} of ${counted(map.tiles, "tile")}`;
  return whole.error ? `Not scored as a whole: ${whole.error}` : `${whole.label}, ${percent(whole.probability)}`;
}

function sayTiles({ map, map_missing, positive_classes, threshold }) {
  if (!map) return map_missing;
  return `${map.positive} of ${counted(map.tiles, "tile")} of ${map.tile} pixels reach${map.positive === 1 ? "es" : ""} the threshold of `
    + `${positive_classes.join(" or ")}, ${percent(threshold)}; a share of tiles of `
    + `${percent(map.positive_tile_share)}. The highest score of a tile is ${percent(map.highest)}.`
    + (map.unfamiliar_share ? ` ${percent(map.unfamiliar_share)} of the tiles are unlike the training images.` : "");
}

function showScores(table, whole) {
  table.hidden = !whole || whole.error !== "";
  if (table.hidden) return;
  table.tBodies[0].replaceChildren(...Object.entries(whole.scores).map(([name, score]) => {
    const row = document.createElement("tr");
    const head = Object.assign(document.createElement("th"), { scope: "row", textContent: name });
    row.append(head, Object.assign(document.createElement("td"), { textContent: percent(score) }));
    return row;
  }));
}

function drawHeat(canvas, answer, isShown) {
  const { rows, columns, scores, is_positive } = answer.map;
  canvas.setAttribute("aria-label", `Heat map: ${sayTiles(answer)}`);
  // Without a photograph below it, the canvas gives the layers their size.
  if (!isShown) canvas.style.position = "static";
  const zoom = Math.min(1, 1200 / Math.max(answer.width, answer.height));
  canvas.width = Math.round(answer.width * zoom);
  canvas.height = Math.round(answer.height * zoom);
  const cells = canvas.getContext("2d");
  cells.scale(zoom, zoom);
  cells.strokeStyle = "white";
  cells.lineWidth = 3 / zoom;
  scores.forEach((row, y) => row.forEach((score, x) => {
    // As inspect's: scores far from the threshold are not tinted.
    const nearness = Math.min(1, Math.max(0, (2 * score) / Math.max(answer.threshold, 1e-6) - 1));
    cells.fillStyle = `rgb(220 20 40 / ${0.75 * nearness})`;
    cells.fillRect(columns[x], rows[y], columns[x + 1] - columns[x], rows[y + 1] - rows[y]);
  }));
  // Lines between tiles that reach the threshold and tiles that do not.
  cells.beginPath();
  is_positive.forEach((row, y) => row.forEach((is, x) => {
    if (x && is !== row[x - 1]) { cells.moveTo(columns[x], rows[y]); cells.lineTo(columns[x], rows[y + 1]); }
    if (y && is !== is_positive[y - 1][x]) { cells.moveTo(columns[x], rows[y]); cells.lineTo(columns[x + 1], rows[y]); }
  }));
  cells.stroke();
}

function addDownloads(place, file, { map }, image, heat) {
  const [marked, csv] = [".marked", ".csv"].map((name) => place.querySelector(name));
  const stem = file.name.replace(/\.[^.]*$/, "");
  if (map) {
    Object.assign(csv, { href: keep(new Blob([map.csv], { type: "text/csv" })), download: `${stem}-tiles.csv` });
  }
  if (map && image) {
    const both = Object.assign(document.createElement("canvas"), { width: heat.width, height: heat.height });
    const layers = both.getContext("2d");
    layers.drawImage(image, 0, 0, both.width, both.height);
    layers.drawImage(heat, 0, 0);
    both.toBlob((blob) => {
      Object.assign(marked, { href: keep(blob), download: `${stem}-marked.jpg` });
    }, "image/jpeg", 0.9);
  } else {
    marked.remove();
  }
  place.hidden = !map;
}

// The same photographs may be chosen again, for tiles of another size.
find("file").addEventListener("click", (event) => { event.target.value = ""; });
find("file").addEventListener("change", (event) => event.target.files.length && begin([...event.target.files]));
find("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token = find("token").value.trim();
  find("token-form").hidden = true;
  find("problem").textContent = "";
  examineAll();
});
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => { event.preventDefault(); find("drop").classList.add("over"); });
}
document.addEventListener("dragleave", () => find("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  find("drop").classList.remove("over");
  if (event.dataTransfer.files.length) begin([...event.dataTransfer.files]);
});
describeService().catch(() => { find("service").textContent = "The service does not answer."; });
