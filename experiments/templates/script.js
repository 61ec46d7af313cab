"use strict";

const make = (name, text, ...children) => {
  const element = document.createElement(name);
  element.textContent = text;
  element.append(...children);
  return element;
};

// Sorting: up, down, and back to the paper's order. Rows stay under the heading of their group.
const order = (row, column) => {
  const cell = row.cells[column];
  const text = cell.dataset.order ?? cell.textContent.trim();
  const number = Number(text.replaceAll(",", ""));
  return text === "" || text === "–" ? null : Number.isNaN(number) ? text : number;
};

const compare = (a, b, sign) => {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a === "number" && typeof b === "number") return sign * (a - b);
  return sign * String(a).localeCompare(String(b));
};

const sort = (heading) => {
  const first = heading.dataset.first;
  const second = first === "ascending" ? "descending" : "ascending";
  const next = { none: first, [first]: second, [second]: "none" }[heading.ariaSort];
  const sign = next === "descending" ? -1 : 1;
  for (const other of heading.parentElement.cells) other.ariaSort = "none";
  heading.ariaSort = next;
  for (const body of heading.closest("table").tBodies) {
    const rows = [...body.rows].filter((row) => !row.classList.contains("group"));
    rows.forEach((row, index) => (row.dataset.place ??= index));
    const keys = new Map(rows.map((row) => [row, order(row, heading.cellIndex)]));
    rows.sort((a, b) => a.dataset.place - b.dataset.place);
    if (next !== "none") rows.sort((a, b) => compare(keys.get(a), keys.get(b), sign));
    body.append(...rows);
  }
};

// Filtering: a row stays if it, its group or its section's title has every word.
const filter = (text) => {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  let all = 0;
  for (const body of document.querySelectorAll("section.table tbody, #runs tbody")) {
    const group = body.querySelector(".group")?.textContent ?? "";
    const title = body.closest("section").querySelector("h2").textContent;
    const context = `${group} ${title}`;
    let left = 0;
    for (const row of body.rows) {
      if (row.classList.contains("group")) continue;
      const labels = body.closest("#runs") ? [row] : [...row.querySelectorAll("th")];
      const own = labels.map((label) => label.textContent).join(" ");
      const haystack = `${context} ${own}`.toLowerCase();
      row.hidden = !words.every((word) => haystack.includes(word));
      left += !row.hidden;
      all += 1;
    }
    body.hidden = left === 0;
    shown += left;
  }
  const empty = (element) => !element.querySelector("tbody:not([hidden])");
  for (const box of document.querySelectorAll("section.table .box")) box.hidden = empty(box);
  for (const section of document.querySelectorAll("section.table")) section.hidden = empty(section);
  document.getElementById("matches").value = words.length ? `${shown} of ${all} rows` : "";
};

// Provenance: what a number is, and the runs behind it or the command that would make it.
const about = (button) => {
  const cell = button.closest("td");
  const row = cell.parentElement;
  const table = cell.closest("table");
  const group = row.parentElement.querySelector(".group")?.textContent ?? "";
  const names = [...row.querySelectorAll("th")].map((name) => name.textContent);
  const column = table.tHead.rows[0].cells[cell.cellIndex].textContent.replace(/[↑↓]/, "");
  const [title] = cell.closest("section").querySelector("h2").textContent.split(":");
  return [title, group, ...names, column].map((text) => text.trim()).filter(Boolean).join(", ");
};

const story = (digest) => {
  const row = document.getElementById(`run-${digest}`);
  if (!row) return make("p", `Run ${digest}`);
  const headings = row.closest("table").tHead.rows[0].cells;
  const list = make("dl", "");
  [...row.cells].forEach((cell, index) => {
    const value = make("dd", "");
    value.append(...[...cell.childNodes].map((node) => node.cloneNode(true)));
    if (cell.textContent) list.append(make("dt", headings[index].textContent), value);
  });
  return list;
};

const open = (button) => {
  const parts = [];
  const { runs, seeds, commands } = button.dataset;
  if (commands) {
    parts.push(make("p", "Not measured yet. This does it:"), make("pre", commands));
  } else {
    const digests = runs.split(" ");
    parts.push(make("p", button.textContent), make("p", seeds), ...digests.map(story));
  }
  document.getElementById("about").textContent = about(button);
  document.getElementById("story").replaceChildren(...parts);
  document.getElementById("provenance").showModal();
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.classList.contains("open")) open(button);
  else if (button?.parentElement.matches("th[aria-sort]")) sort(button.parentElement);
});
document.getElementById("filter").addEventListener("input", (event) => filter(event.target.value));
