// The page works without this: it adds pictures, the slider, and renews what changes.
"use strict";

const CHECK_EVERY = 3000; // milliseconds

function data() {
  const found = document.getElementById("data");
  return found ? JSON.parse(found.textContent) : null;
}

function draw() {
  const said = data();
  if (!said || typeof Plotly === "undefined") return;
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--ink").trim(), line = style.getPropertyValue("--line").trim();
  for (const [name, figure] of Object.entries(said.figures)) {
    const axis = { color: ink, gridcolor: line, linecolor: ink };
    const layout = {
      ...figure.layout,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: ink },
      legend: { orientation: "h", y: -0.25 },
      margin: { l: 70, r: 20, t: 30, b: 60 },
      xaxis: { ...figure.layout.xaxis, ...axis },
      yaxis: { ...figure.layout.yaxis, ...axis },
    };
    for (const trace of figure.data) {
      if (trace.error_x && trace.error_x.color === "black") trace.error_x.color = ink;
      if (trace.marker && trace.marker.color === "black") trace.marker.color = ink;
    }
    Plotly.newPlot(name, figure.data, layout, { responsive: true, displayModeBar: false });
  }
}

function scores(said, lambda, ddof) {
  const sign = said.promotion.direction === "maximize" ? -1 : 1;
  return said.candidates.map(({ trial, values }) => {
    const n = values.length;
    if (values.some((value) => value === null) || (ddof !== "0" && n < 2)) return { trial, sigma: null, score: null };
    const mean = values.reduce((a, b) => a + b, 0) / n;
    const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    let sigma = Math.sqrt(squares / (ddof === "0" ? n : n - 1));
    if (ddof === "unbiased") sigma /= said.unbiasing;
    return { trial, sigma, score: mean + sign * lambda * sigma };
  });
}

function shown(value) {
  if (value === null) return "-";
  if (value !== 0 && Math.abs(value) < 0.00005) return value.toExponential(1).replace(/e([+-])(\d)$/, "e$10$2");
  return Math.abs(value) >= 10 ? value.toPrecision(4) : value.toFixed(4);
}

function reorder() {
  const said = data();
  const slider = document.getElementById("lambda"), ddof = document.getElementById("ddof").value;
  const lambda = Number(slider.value), sign = said.promotion.direction === "maximize" ? "−" : "+";
  document.getElementById("lambda-said").value = slider.value;
  document.getElementById("score-name").textContent = lambda === 1 ? `mean ${sign} sigma` : `mean ${sign} ${lambda} sigma`;
  const up = said.promotion.direction === "maximize" ? -1 : 1;
  const ranked = scores(said, lambda, ddof);
  const complete = ranked.filter((one) => one.score !== null).sort((a, b) => up * (a.score - b.score) || a.sigma - b.sigma || a.trial - b.trial);
  const body = document.querySelector("#leaderboard tbody");
  complete.forEach((one, place) => {
    const row = body.querySelector(`tr[data-trial="${one.trial}"]`);
    row.querySelector(".rank").textContent = place + 1;
    row.querySelector(".score").textContent = shown(one.score);
    row.querySelector(".sigma").textContent = shown(one.sigma);
    body.insertBefore(row, body.children[place]);
  });
  if (!complete.length) return;
  const first = complete[0].trial;
  const promoted = document.querySelector("#leaderboard tr.winner");
  const text = promoted && Number(promoted.dataset.trial) === first
    ? `trial ${first} stays first` : `trial ${first} would be first`;
  document.getElementById("sensitivity-said").textContent = text;
  document.getElementById("announcement").textContent = `lambda ${slider.value}, ddof ${ddof}: ${text}`;
}

function begin() {
  draw();
  const form = document.getElementById("sensitivity");
  if (form) for (const kind of ["input", "change"]) form.addEventListener(kind, reorder);
}

let mark = null;

async function renew() {
  const address = document.body.dataset.live;
  try {
    const answer = await fetch(address, { headers: mark ? { "If-None-Match": mark } : {} });
    if (answer.status === 200) {
      const first = mark === null;
      mark = answer.headers.get("ETag");
      const form = document.getElementById("sensitivity");
      const isHeld = form && form.contains(document.activeElement);
      if (!first && !isHeld) {
        document.getElementById("content").innerHTML = await answer.text();
        begin();
      }
    }
  } catch { /* the server is away; it is asked again */ }
  setTimeout(renew, CHECK_EVERY);
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
else begin();
if (document.body.dataset.live) setTimeout(renew, CHECK_EVERY);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
