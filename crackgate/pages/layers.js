"use strict";

// Zoom, pan and opacity of one photograph (".view" around ".layers", with ".heat" on top, and ".controls").
function addControls(photo) {
  const [view, layers, heat, zoom, opacity] =
    [".view", ".layers", ".heat", ".zoom", ".opacity"].map((name) => photo.querySelector(name));

  // The point of the photograph at x, y of the view stays where it is.
  function enlarge(times, x = view.clientWidth / 2, y = view.clientHeight / 2) {
    const before = layers.clientWidth;
    zoom.value = times;
    zoom.setAttribute("aria-valuetext", `${zoom.value} times`);
    layers.style.setProperty("--zoom", zoom.value);
    view.classList.toggle("zoomed", zoom.value > 1);
    const grown = layers.clientWidth / before;
    view.scrollLeft = (view.scrollLeft + x) * grown - x;
    view.scrollTop = (view.scrollTop + y) * grown - y;
  }

  photo.querySelector(".controls").hidden = false;
  zoom.addEventListener("input", () => enlarge(zoom.value));
  opacity.addEventListener("input", () => {
    heat.style.opacity = opacity.value / 100;
    opacity.setAttribute("aria-valuetext", `${opacity.value} %`);
  });
  view.addEventListener("keydown", (event) => {
    // With these, + and - are the browser's own zoom.
    if (event.ctrlKey || event.metaKey) return;
    const step = { "+": 0.5, "-": -0.5 }[event.key];
    if (step) enlarge(Number(zoom.value) + step);
  });
  view.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    const corner = view.getBoundingClientRect();
    enlarge(Number(zoom.value) - Math.sign(event.deltaY) / 2, event.clientX - corner.left, event.clientY - corner.top);
  }, { passive: false });
  view.addEventListener("pointerdown", (event) => {
    if (event.button === 0 && zoom.value > 1) view.setPointerCapture(event.pointerId);
  });
  view.addEventListener("pointermove", (event) => {
    if (view.hasPointerCapture(event.pointerId)) view.scrollBy(-event.movementX, -event.movementY);
  });
}
