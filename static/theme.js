// Small, and loaded before anything is drawn.

// ---- The appearance "System": follow the operating system.

const root = document.documentElement;

if (root.dataset.appearance === "system") {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const follow = () => root.setAttribute("data-bs-theme", dark.matches ? "dark" : "light");
  dark.addEventListener("change", follow);
  follow();
}

// ---- Tell the server the time zone that times are to be shown in.

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone) document.cookie = `zcc_time_zone=${zone}; Path=/; Max-Age=31536000; SameSite=Lax; Secure`;
