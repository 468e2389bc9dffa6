// Optional: adds the slider, filters and highlights to a page, and updates it while a study runs.
"use strict";

const CHECK_EVERY = 2000; // milliseconds

addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details")) one.open = true;
});

function data() {
  const found = document.getElementById("data");
  return found ? JSON.parse(found.textContent) : null;
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

// A trial under the pointer is highlighted in every figure and table of the page.
function light(trial) {
  const content = document.getElementById("content");
  for (const one of content.querySelectorAll(".lit")) one.classList.remove("lit");
  content.classList.toggle("dim", trial !== null);
  if (trial === null) return;
  for (const one of content.querySelectorAll(`[data-trial="${trial}"]`)) one.classList.add("lit");
}

function trialOf(event) {
  const found = event.target instanceof Element ? event.target.closest("[data-trial]") : null;
  return found ? found.dataset.trial : null;
}

let lit = null;

function point(event) {
  const trial = trialOf(event);
  if (trial === lit) return;
  lit = trial;
  light(trial);
}

function begin() {
  const form = document.getElementById("sensitivity");
  if (form) for (const kind of ["input", "change"]) form.addEventListener(kind, reorder);
  if (typeof beginStudies === "function") beginStudies();
}

// Replaces the parts of the page that have changed; what is in use stays as it is until it is left.
function replaceParts(text) {
  const content = document.getElementById("content");
  const fresh = new DOMParser().parseFromString(`<main>${text}</main>`, "text/html").querySelector("main");
  const old = new Map([...content.children].filter((one) => one.id).map((one) => [one.id, one]));
  const parts = [...fresh.children].map((one) => {
    const known = old.get(one.id);
    if (!known || known.source === one.outerHTML) return known || one;
    if (known.contains(document.activeElement) && document.activeElement.matches("input, select, button")) return known;
    one.source = one.outerHTML;
    for (const box of known.querySelectorAll("details[id]")) {
      const same = one.querySelector(`#${CSS.escape(box.id)}`);
      if (same) same.open = box.open;
    }
    return one;
  });
  parts.forEach((one, index) => {
    if (content.children[index] !== one) content.insertBefore(one, content.children[index] || null);
  });
  while (content.children.length > parts.length) content.lastElementChild.remove();
  begin();
}

let etag = null;

async function update() {
  try {
    const response = await fetch(document.body.dataset.live, { headers: etag ? { "If-None-Match": etag } : {} });
    if (response.status === 200) {
      etag = response.headers.get("ETag");
      replaceParts(await response.text());
    }
  } catch { /* the server is unavailable; the next check tries again */ }
  setTimeout(update, CHECK_EVERY);
}

function start() {
  for (const one of document.getElementById("content").children) one.source = one.outerHTML;
  begin();
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
else start();
document.addEventListener("pointerover", point);
document.addEventListener("focusin", point);
if (document.body.dataset.live) setTimeout(update, CHECK_EVERY);
