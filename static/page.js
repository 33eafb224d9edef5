// What a page does without asking the server: menus, rows that open, copying, selections, toasts,
// and times that stay true. All of it hangs on the markup's classes and data- attributes.

// ---- Menus close by Escape and by a click elsewhere; disabled buttons do nothing.

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.z-menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
  if (event.target.closest("[aria-disabled=true]")) {
    event.preventDefault();
    event.stopPropagation();
  }
}, true);

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.z-menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// ---- A row opens: button.z-turn[aria-controls] shows and hides the row it names.

function turn(button, open) {
  button.setAttribute("aria-expanded", String(open));
  button.closest("tr").classList.toggle("is-open", open);
  document.getElementById(button.getAttribute("aria-controls")).hidden = !open;
}

// ---- Copy: button.z-copy[data-copy] puts its text on the clipboard and says so.

async function copy(button) {
  await navigator.clipboard.writeText(button.dataset.copy);
  const label = button.getAttribute("aria-label");
  button.setAttribute("aria-label", "Copied");
  button.classList.add("is-done");
  setTimeout(() => {
    button.setAttribute("aria-label", label);
    button.classList.remove("is-done");
  }, 2000);
}

// ---- Selection: [data-selection] holds the boxes, .z-bulk tells how many are ticked.

function countSelection(table) {
  const boxes = [...table.querySelectorAll("tbody .z-check input")];
  const ticked = boxes.filter((box) => box.checked);
  for (const box of boxes) box.closest("tr").classList.toggle("is-selected", box.checked);
  const all = table.querySelector("[data-select-all]");
  all.checked = ticked.length > 0 && ticked.length === boxes.length;
  all.indeterminate = ticked.length > 0 && ticked.length < boxes.length;
  table.querySelector(".z-bulk").hidden = ticked.length === 0;
  const noun = table.dataset.selection;
  const words = `${ticked.length} ${noun}${ticked.length === 1 ? "" : "s"} selected`;
  table.querySelector(".z-bulk b").textContent = words;
}

function select(table, on) {
  for (const box of table.querySelectorAll("tbody .z-check input")) box.checked = on;
  countSelection(table);
}

document.addEventListener("change", (event) => {
  const table = event.target.closest("[data-selection]");
  if (!table || !event.target.closest(".z-check")) return;
  if (event.target.matches("[data-select-all]")) select(table, event.target.checked);
  else countSelection(table);
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.matches(".z-turn")) turn(button, button.getAttribute("aria-expanded") !== "true");
  if (button.matches(".z-copy")) copy(button);
  if (button.matches("[data-clear-selection]")) select(button.closest("[data-selection]"), false);
  if (button.matches("[data-dismiss]")) button.closest(".z-toast").remove();
});

// ---- Toasts go after 6 s, later while somebody reads them.

for (const toast of document.querySelectorAll(".z-toast")) {
  const leave = () => {
    if (toast.matches(":hover, :focus-within")) setTimeout(leave, 2000);
    else toast.remove();
  };
  setTimeout(leave, 6000);
}

// ---- Times: [data-ago] and [data-timer] go by the server's clock, which the page was sent with.

const served = Date.parse(document.documentElement.dataset.now);
const ahead = Number.isNaN(served) ? 0 : served - Date.now();
const UNITS = [["day", 86400], ["h", 3600], ["min", 60], ["s", 1]];

function words(seconds, most) {
  const found = [];
  let left = Math.max(0, Math.floor(seconds));
  for (const [name, size] of UNITS) {
    const number = Math.floor(left / size);
    left %= size;
    if (number) found.push(`${number} ${name}${name === "day" && number > 1 ? "s" : ""}`);
    else if (found.length) break;
  }
  return found.slice(0, most).join(" ") || "0 s";
}

setInterval(() => {
  const now = Date.now() + ahead;
  for (const at of document.querySelectorAll("time[data-ago]")) {
    at.textContent = `${words((now - Date.parse(at.dateTime)) / 1000, 1)} ago`;
  }
  for (const timer of document.querySelectorAll("[data-timer]")) {
    timer.textContent = words((Date.parse(timer.dataset.timer) - now) / 1000, 2);
  }
}, 1000);

// ---- Live parts: wait while somebody is busy in them, keep rows open, say so when they freeze.

const isPoll = (event) => event.detail.elt.matches("[data-live]");
let openRows = [];
let lastAnswer = new Date();

document.addEventListener("htmx:beforeRequest", (event) => {
  const busy = "details.z-menu[open], tbody .z-check input:checked";
  if (isPoll(event) && event.detail.elt.querySelector(busy)) event.preventDefault();
});

document.addEventListener("htmx:beforeSwap", (event) => {
  const open = event.detail.target.querySelectorAll(".z-turn[aria-expanded=true]");
  openRows = [...open].map((button) => button.getAttribute("aria-controls"));
});

document.addEventListener("htmx:afterSettle", () => {
  for (const row of openRows) {
    const button = document.querySelector(`.z-turn[aria-controls="${row}"]`);
    if (button) turn(button, true);
  }
});

// A click that came to nothing is said so, in the dialog if there is one.
function unsent() {
  const notes = [...document.querySelectorAll("[data-unsent]")];
  notes.at(-1).hidden = false;
}

function frozen(event) {
  if (!isPoll(event)) return unsent();
  const time = lastAnswer.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  const note = document.getElementById("frozen");
  note.hidden = false;
  note.querySelector("[data-frozen-at]").textContent = time;
}

document.addEventListener("htmx:sendError", frozen);
document.addEventListener("htmx:responseError", frozen);
document.addEventListener("htmx:afterRequest", (event) => {
  if (!event.detail.successful || !isPoll(event)) return;
  lastAnswer = new Date();
  document.getElementById("frozen").hidden = true;
});
