// What a page does without asking the server: menus, rows that open, copying, selections, toasts,
// and times that stay true. All of it hangs on the markup's classes and data- attributes.

// ---- Menus close by Escape, by a click elsewhere, and when one of their links has been followed;
// disabled buttons do nothing.

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.z-menu[open]")) {
    const isFollowed = event.target.closest(".z-menu-list a[href]") !== null;
    if (!menu.contains(event.target) || isFollowed) menu.open = false;
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

// ---- Copy: button[data-copy] puts its text on the clipboard and says so: by its word, if it has one.

async function copy(button) {
  await navigator.clipboard.writeText(button.dataset.copy);
  const word = button.querySelector("span");
  const label = button.getAttribute("aria-label");
  if (word) word.textContent = "Copied";
  else button.setAttribute("aria-label", "Copied");
  button.classList.add("is-done");
  setTimeout(() => {
    if (word) word.textContent = "Copy";
    else button.setAttribute("aria-label", label);
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
  if (button.matches("[data-copy]")) copy(button);
  if (button.matches("[data-clear-selection]")) select(button.closest("[data-selection]"), false);
  if (button.matches("[data-dismiss]")) button.closest(".z-toast").remove();
});

// ---- Toasts go after 6 s, later while somebody reads them; those with an undo stay.

for (const toast of document.querySelectorAll(".z-toast:not([data-stays])")) {
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
let openMore = [];
let focused = null; // the part, and how what had the focus in it is known again
let lastAnswer = new Date();

const isBusy = (part) =>
  part.querySelector("details.z-menu[open], tbody .z-check input:checked") !== null;

document.addEventListener("htmx:beforeRequest", (event) => {
  if (isPoll(event) && isBusy(event.detail.elt)) event.preventDefault();
});

const told = (element) =>
  ["hx-get", "href", "formaction", "data-copy"].map((name) => element.getAttribute(name)).join() +
  element.textContent.trim();

document.addEventListener("htmx:beforeSwap", (event) => {
  const { requestConfig, target } = event.detail;
  // A menu was opened while the part asked for itself.
  if (requestConfig.elt === target && isPoll(event) && isBusy(target)) {
    event.detail.shouldSwap = false;
    return;
  }
  const open = event.detail.target.querySelectorAll(".z-turn[aria-expanded=true]");
  openRows = [...open].map((button) => button.getAttribute("aria-controls"));
  openMore = [...event.detail.target.querySelectorAll("details.z-more[open]")].map(({ id }) => id);
  const at = document.activeElement;
  const isLost = event.detail.shouldSwap && event.detail.target.contains(at);
  focused = isLost ? { part: event.detail.target.id, told: told(at) } : null;
});

function giveFocusBack() {
  if (!focused || document.activeElement !== document.body) return;
  const choices = document.getElementById(focused.part)?.querySelectorAll("a, button, summary") ?? [];
  [...choices].find((choice) => told(choice) === focused.told)?.focus({ preventScroll: true });
  focused = null;
}

document.addEventListener("htmx:afterSettle", () => {
  for (const row of openRows) {
    const button = document.querySelector(`.z-turn[aria-controls="${row}"]`);
    if (button) turn(button, true);
  }
  for (const id of openMore) document.getElementById(id)?.setAttribute("open", "");
  giveFocusBack();
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
