// Optional: adds figures and the slider to the page, and updates it while the study runs.
"use strict";

const CHECK_EVERY = 3000; // milliseconds

function data() {
  const found = document.getElementById("data");
  return found ? JSON.parse(found.textContent) : null;
}

function draw() {
  const values = data();
  if (!values || typeof Plotly === "undefined") return;
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--ink").trim(), line = style.getPropertyValue("--line").trim();
  for (const [name, figure] of Object.entries(values.figures)) {
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

function scores(page, lambda, ddof) {
  const sign = page.promotion.direction === "maximize" ? -1 : 1;
  return page.candidates.map(({ trial, values }) => {
    const n = values.length;
    if (values.some((value) => value === null) || (ddof !== "0" && n < 2)) return { trial, sigma: null, score: null };
    const mean = values.reduce((a, b) => a + b, 0) / n;
    const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    let sigma = Math.sqrt(squares / (ddof === "0" ? n : n - 1));
    if (ddof === "unbiased") sigma /= page.unbiasing;
    return { trial, sigma, score: mean + sign * lambda * sigma };
  });
}

function format(value) {
  if (value === null) return "-";
  if (value !== 0 && Math.abs(value) < 0.00005) return value.toExponential(1).replace(/e([+-])(\d)$/, "e$10$2");
  return Math.abs(value) >= 10 ? value.toPrecision(4) : value.toFixed(4);
}

function reorder() {
  const page = data();
  const slider = document.getElementById("lambda"), ddof = document.getElementById("ddof").value;
  const lambda = Number(slider.value), sign = page.promotion.direction === "maximize" ? "−" : "+";
  document.getElementById("lambda-value").value = slider.value;
  document.getElementById("score-name").textContent = lambda === 1 ? `mean ${sign} sigma` : `mean ${sign} ${lambda} sigma`;
  const order = page.promotion.direction === "maximize" ? -1 : 1;
  const ranked = scores(page, lambda, ddof);
  const complete = ranked.filter((one) => one.score !== null).sort((a, b) => order * (a.score - b.score) || a.sigma - b.sigma || a.trial - b.trial);
  const body = document.querySelector("#leaderboard tbody");
  complete.forEach((one, index) => {
    const row = body.querySelector(`tr[data-trial="${one.trial}"]`);
    row.querySelector(".rank").textContent = index + 1;
    row.querySelector(".score").textContent = format(one.score);
    row.querySelector(".sigma").textContent = format(one.sigma);
    body.insertBefore(row, body.children[index]);
  });
  if (!complete.length) return;
  const first = complete[0].trial;
  const promoted = document.querySelector("#leaderboard tr.winner");
  const text = promoted && Number(promoted.dataset.trial) === first
    ? `trial ${first} stays first` : `trial ${first} would be first`;
  document.getElementById("sensitivity-result").textContent = text;
  document.getElementById("announcement").textContent = `lambda ${slider.value}, ddof ${ddof}: ${text}`;
}

function begin() {
  draw();
  const form = document.getElementById("sensitivity");
  if (form) for (const kind of ["input", "change"]) form.addEventListener(kind, reorder);
}

let etag = null;

async function update() {
  const address = document.body.dataset.live;
  try {
    const response = await fetch(address, { headers: etag ? { "If-None-Match": etag } : {} });
    if (response.status === 200) {
      const isFirst = etag === null;
      etag = response.headers.get("ETag");
      const form = document.getElementById("sensitivity");
      const isInUse = form && form.contains(document.activeElement);
      if (!isFirst && !isInUse) {
        document.getElementById("content").innerHTML = await response.text();
        begin();
      }
    }
  } catch { /* the server is unavailable; the next check tries again */ }
  setTimeout(update, CHECK_EVERY);
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
else begin();
if (document.body.dataset.live) setTimeout(update, CHECK_EVERY);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
