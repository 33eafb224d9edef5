// The appearance "System": follow the operating system. Small, and loaded before anything is drawn.
const root = document.documentElement;

if (root.dataset.appearance === "system") {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const follow = () => root.setAttribute("data-bs-theme", dark.matches ? "dark" : "light");
  dark.addEventListener("change", follow);
  follow();
}
