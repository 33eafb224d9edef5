// A dialog arrives closed, inside #dialog: open it. [data-close] closes it, and Escape does.
// [data-download] is a file that was just made: the browser is given it without a further click.
// [data-enabled-by=NAME] is enabled while the checkbox NAME is checked.
// [data-shown-by="NAME=VALUE"] is shown while the field NAME has that value.
// [data-focus] gets the focus, when it arrives, before anything else.
// [data-discard=URL] names who is told when the dialog is closed: what was typed is forgotten there.
// A dialog that was opened by its own address stands open over an inert page: there [data-close]
// is an ordinary link, and the page that it leads to is shown behind.
const host = document.getElementById("dialog");
let opener = null; // who gets the focus back

function followCheckboxes() {
  for (const part of host.querySelectorAll("[data-enabled-by]")) {
    part.disabled = !host.querySelector(`[name="${part.dataset.enabledBy}"]`)?.checked;
  }
}

function followChoices() {
  for (const part of host.querySelectorAll("[data-shown-by]")) {
    const [name, value] = part.dataset.shownBy.split("=");
    const chosen = host.querySelector(`select[name="${name}"], [name="${name}"]:checked`);
    part.hidden = chosen?.value !== value;
  }
}

function discard() {
  const form = host.querySelector("[data-discard]");
  if (!form) return;
  const { csrfmiddlewaretoken, draft } = form.elements;
  const kept = { csrfmiddlewaretoken: csrfmiddlewaretoken.value, draft: draft.value };
  fetch(form.dataset.discard, { method: "POST", body: new URLSearchParams(kept), keepalive: true });
}

function focusFirst(dialog) {
  const first =
    dialog.querySelector("[data-focus]") ??
    dialog.querySelector("[role=alert]:not([hidden])") ??
    dialog.querySelector("[autofocus]") ??
    dialog.querySelector(".z-dialog-body :is(input:not([type=hidden]), select, textarea)") ??
    dialog.querySelector(".z-dialog-foot :is(a, button)");
  first?.focus();
}

// The opener itself, or what a live part has put in its place meanwhile; the menu it is in, if any.
function present(element) {
  const found =
    !element || element.isConnected
      ? element
      : document.querySelector(`[hx-get="${element.getAttribute("hx-get")}"]`);
  return found?.closest("details:not([open])")?.querySelector("summary") ?? found;
}

document.addEventListener("htmx:beforeRequest", (event) => {
  const { elt, target } = event.detail;
  if (target === host && !host.contains(elt)) opener = elt;
});

function close() {
  host.querySelector("dialog")?.close();
  host.replaceChildren();
  present(opener)?.focus();
  opener = null;
}

const isPage = () => document.querySelector(".z-shell[inert]") !== null;

new MutationObserver(() => {
  const dialog = host.querySelector("dialog");
  followCheckboxes();
  followChoices();
  if (!dialog || dialog.open) return;
  opener ??= document.activeElement;
  dialog.showModal();
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    host.querySelector("[data-close]").click();
  });
  focusFirst(dialog);
}).observe(host, { childList: true });

host.addEventListener("change", followCheckboxes);
host.addEventListener("change", followChoices);
host.addEventListener("click", (event) => {
  if (!event.target.closest("[data-close]")) return;
  discard();
  if (isPage()) return;
  event.preventDefault();
  close();
});

async function showBehind(address) {
  const answer = await fetch(address);
  if (!answer.ok || answer.redirected) return;
  const behind = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.getElementById("main").replaceChildren(...behind.getElementById("main").childNodes);
}

// A dialog that the server sent open with its page.
if (host.querySelector("dialog[open]")) {
  showBehind(host.querySelector("[data-close]").href);
  followCheckboxes();
  followChoices();
  focusFirst(host);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") host.querySelector("[data-close]").click();
  });
}

document.addEventListener("htmx:afterSettle", (event) => {
  const arrived = event.detail.elt;
  arrived.querySelector?.("[data-download]")?.click();
  if (arrived.closest?.("dialog")) arrived.querySelector("[data-focus]")?.focus();
});
