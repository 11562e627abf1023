"use strict";
const find = (id) => document.getElementById(id);
const percent = (score) => `${(100 * score).toFixed(1)} %`;
let token = "";
let latest = 0;
let waiting = null;
let address = "";

async function describeService() {
  const state = await (await fetch("/readyz")).json();
  const refused = state.refused ? ` Version ${state.refused.version} was refused.` : "";
  find("service").textContent = state.ready
    ? `Version ${state.version} answers.${refused}`
    : "No version is ready yet; try again in a moment.";
}

async function examine(file) {
  const number = ++latest;
  waiting = file;
  find("problem").textContent = "";
  find("result").hidden = true;
  find("service").textContent = `Looking at ${file.name} ...`;
  try {
    const headers = { "Content-Type": "application/octet-stream" };
    if (token) headers.Authorization = `Bearer ${token}`;
    const response = await fetch("/heatmap", { method: "POST", body: file, headers });
    const answer = await response.json();
    if (number !== latest) return;
    if (response.status === 401) {
      find("token-form").hidden = false;
      find("token").focus();
    }
    if (!response.ok) throw new Error(answer.error);
    await show(file, answer);
  } catch (error) {
    if (number === latest) find("problem").textContent = `Error: ${error.message}`;
  } finally {
    if (number === latest) describeService().catch(() => {});
  }
}

async function show(file, answer) {
  const photograph = find("photograph");
  URL.revokeObjectURL(address);
  address = URL.createObjectURL(file);
  photograph.src = address;
  photograph.alt = `The photograph ${file.name}, ${answer.width} by ${answer.height} pixels`;
  // The service reads formats that the browser does not show.
  await photograph.decode().catch(() => {});
  const whole = answer.whole;
  find("verdict").textContent = sayVerdict(answer);
  find("table").hidden = whole.error !== "";
  find("scores").replaceChildren(...Object.entries(whole.scores).map(([name, score]) => {
    const row = document.createElement("tr");
    const head = Object.assign(document.createElement("th"), { scope: "row", textContent: name });
    row.append(head, Object.assign(document.createElement("td"), { textContent: percent(score) }));
    return row;
  }));
  drawHeat(answer);
  find("result").hidden = false;
  find("verdict").focus();
}

function sayVerdict({ whole, map, positive_classes }) {
  const tiles = map ? map.scores.length * map.scores[0].length : 1;
  // A photograph of a whole wall, shrunk to the input, shows the network no crack: its tiles decide.
  if (tiles > 1) return `${positive_classes.join(" or ")} in ${map.positive || "none"} of ${tiles} tiles`;
  return whole.error ? `Not scored as a whole: ${whole.error}` : `${whole.label}, ${percent(whole.probability)}`;
}

function drawHeat(answer) {
  const canvas = find("heat");
  const map = answer.map;
  find("picture").parentElement.querySelector("figcaption").hidden = !map;
  canvas.hidden = !map || !find("show-heat").checked;
  if (!map) {
    find("tiles").textContent = answer.map_missing;
    return;
  }
  const tiles = map.scores.length * map.scores[0].length;
  const said = `${map.positive} of ${tiles} tiles reach the threshold of ${answer.positive_classes.join(" or ")}, `
    + `${percent(answer.threshold)}; a share of tiles of ${percent(map.positive_tile_share)}. `
    + `The highest score of a tile is ${percent(map.highest)}.`
    + (map.unfamiliar_share ? ` ${percent(map.unfamiliar_share)} of the tiles are unlike the training images.` : "");
  find("tiles").textContent = said;
  canvas.setAttribute("aria-label", `Heat map: ${said}`);
  const zoom = Math.min(1, 1600 / Math.max(answer.width, answer.height));
  canvas.width = Math.round(answer.width * zoom);
  canvas.height = Math.round(answer.height * zoom);
  const cells = canvas.getContext("2d");
  cells.scale(zoom, zoom);
  map.scores.forEach((row, y) => row.forEach((score, x) => {
    const [left, top] = [map.columns[x], map.rows[y]];
    cells.fillStyle = `rgb(220 20 40 / ${0.75 * score})`;
    cells.fillRect(left, top, map.columns[x + 1] - left, map.rows[y + 1] - top);
  }));
}

find("file").addEventListener("change", (event) => event.target.files[0] && examine(event.target.files[0]));
find("show-heat").addEventListener("change", (event) => { find("heat").hidden = !event.target.checked; });
find("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token = find("token").value.trim();
  find("token-form").hidden = true;
  if (waiting) examine(waiting);
});
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => { event.preventDefault(); find("drop").classList.add("over"); });
}
document.addEventListener("dragleave", () => find("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  find("drop").classList.remove("over");
  if (event.dataTransfer.files[0]) examine(event.dataTransfer.files[0]);
});
describeService().catch(() => { find("service").textContent = "The service does not answer."; });
