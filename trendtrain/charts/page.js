"use strict";
const root = document.documentElement;
const figures = JSON.parse(document.getElementById("figures").textContent);
const options = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d"] };

/** Return a copy of a figure's part with the page's colours in place of their names. */
function coloured(part, style) {
  if (typeof part === "string")
    return part.startsWith("var(--") ? style.getPropertyValue(part.slice(4, -1)).trim() : part;
  if (Array.isArray(part)) return part.map((one) => coloured(one, style));
  if (part === null || typeof part !== "object") return part;
  return Object.fromEntries(Object.entries(part).map(([name, value]) => [name, coloured(value, style)]));
}

/** Draw all figures in the theme of the moment; what is drawn already keeps its zoom. */
function draw() {
  const style = getComputedStyle(root);
  figures.forEach((figure, number) => {
    const place = document.getElementById(`figure-${number}`);
    if (place.closest("details:not([open])")) return;
    const isNew = !place.data;
    Plotly.react(place, coloured(figure.data, style), coloured(figure.layout, style), options);
    if (place.data[0].type !== "candlestick") return;
    if (isNew) place.on("plotly_relayout", (change) => fit(place, change));
    else fit(place, { "xaxis.range": true });
  });
}

/** After a zoom in time, let the price axis follow the bars that are in sight. */
function fit(place, change) {
  const isZoom = Object.keys(change).some((name) => name.startsWith("xaxis."));
  if (!isZoom || Object.keys(change).some((name) => name.startsWith("yaxis."))) return;
  const [from, to] = place._fullLayout.xaxis.range.map((time) => Date.parse(`${String(time).replace(" ", "T")}Z`));
  const { x, low, high } = place._fullData[0];
  let [least, most] = [Infinity, -Infinity];
  for (let i = 0; i < x.length; i++) {
    const time = Date.parse(`${x[i]}Z`);
    if (time < from || time > to) continue;
    least = Math.min(least, low[i]);
    most = Math.max(most, high[i]);
  }
  const margin = 0.06 * (most - least) || 0.01 * most;
  if (least <= most) Plotly.relayout(place, { "yaxis.range": [least - margin, most + margin] });
}

document.getElementById("theme").addEventListener("click", () => {
  const isDark = getComputedStyle(root).colorScheme === "dark";
  root.dataset.theme = isDark ? "light" : "dark";
  draw();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
document.querySelectorAll("details").forEach((part) => part.addEventListener("toggle", draw));
draw();
