// Filters, sorts and changes the list of studies; without this script it is a plain table.
"use strict";

const kept = { key: null, down: false, text: "", state: "", archived: false };

function shown(row) {
  if (!row.dataset.name) return true;
  const text = `${row.dataset.name} ${row.dataset.metric}`.toLowerCase();
  return text.includes(kept.text.toLowerCase()) && (!kept.state || row.dataset.state === kept.state)
    && (kept.archived || !("archived" in row.dataset));
}

function compare(one, other) {
  const [a, b] = [one.dataset[kept.key] ?? "", other.dataset[kept.key] ?? ""];
  if (a === "" || b === "") return (a === "") - (b === ""); // what has no value comes last
  const order = a !== "" && !Number.isNaN(Number(a)) ? Number(a) - Number(b) : a.localeCompare(b);
  return kept.down ? -order : order;
}

function apply() {
  const body = document.querySelector("#studies tbody");
  const rows = [...body.rows];
  for (const row of rows) row.hidden = !shown(row);
  if (kept.key) body.append(...rows.sort(compare));
  for (const head of document.querySelectorAll("#studies th[data-key]")) {
    if (head.dataset.key === kept.key) head.setAttribute("aria-sort", kept.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  const listed = rows.filter((row) => row.dataset.name), count = listed.filter((row) => !row.hidden).length;
  document.getElementById("filter-count").textContent = listed.length ? `${count} of ${listed.length} studies` : "";
}

function filter(event) {
  const { id, value, checked } = event.target;
  if (id === "filter-text") kept.text = value;
  if (id === "filter-state") kept.state = value;
  if (id === "filter-archived") kept.archived = checked;
  apply();
}

function sortBy(key) {
  kept.down = kept.key === key ? !kept.down : false;
  kept.key = key;
  apply();
}

const QUESTIONS = {
  rename: (name) => prompt(`New name of the study ${name}:`, name),
  delete: (name) => prompt(`This deletes all trials of ${name} from the database; its files stay. Type its name to delete it:`),
  archive: (name) => name,
  unarchive: (name) => name,
};

async function change(name, what) {
  const answer = QUESTIONS[what](name);
  if (answer === null || (what === "rename" && answer === name)) return;
  const say = (text) => { document.getElementById("announcement").textContent = text; };
  if (what === "delete" && answer !== name) { say(`${name} was not deleted: another name was typed`); return; }
  const path = `/hpo/v1/studies/${encodeURIComponent(name)}${what === "delete" ? "" : `/${what}`}`;
  const body = what === "rename" ? JSON.stringify({ new: answer }) : undefined;
  const headers = body ? { "Content-Type": "application/json" } : {};
  const response = await fetch(path, { method: what === "delete" ? "DELETE" : "POST", headers, body });
  if (response.ok) { location.reload(); return; }
  const problem = await response.json();
  alert(problem.detail);
}

function beginStudies() {
  const form = document.getElementById("filters");
  if (!form.ready) {
    form.ready = true;
    for (const kind of ["input", "change"]) form.addEventListener(kind, filter);
    form.addEventListener("submit", (event) => event.preventDefault());
  }
  document.getElementById("filter-text").value = kept.text;
  document.getElementById("filter-state").value = kept.state;
  const box = document.getElementById("filter-archived");
  if (box) box.checked = kept.archived;
  for (const head of document.querySelectorAll("#studies th[data-key]")) {
    if (head.querySelector("button")) continue;
    const button = document.createElement("button");
    button.className = "sort";
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sortBy(head.dataset.key));
    head.replaceChildren(button);
  }
  for (const button of document.querySelectorAll("#studies button[data-do]")) {
    if (button.ready) continue;
    button.ready = true;
    button.addEventListener("click", () => change(button.closest("tr").dataset.name, button.dataset.do));
  }
  apply();
}

beginStudies();
