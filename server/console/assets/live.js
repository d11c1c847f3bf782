// One event stream a page. The server sends fragments, each an element with an
// id; here they take the place of the elements of the same id, and nothing else
// moves. Lists under the pointer or with the focus wait until it leaves.

const waiting = new Map();
const busy = (element) => element.closest("[data-list]")?.matches(":hover, :focus-within");

function note() {
  for (const bar of document.querySelectorAll(".newer")) {
    const n = [...waiting.keys()].filter((id) => document.getElementById(id)?.closest("[data-list]") === bar.closest("[data-list]")).length;
    bar.classList.toggle("on", n > 0);
    if (n) bar.textContent = "Newer values are here. They show when the pointer leaves the list.";
  }
}

// The stream knows the device that the page was loaded with. When another was
// chosen since, its log is asked for by itself, at most every two seconds.
let asked = 0;
function refreshPicked(href) {
  if (Date.now() - asked < 2000) return;
  asked = Date.now();
  window.htmx?.ajax("GET", href, { target: "#log", select: "#log", swap: "outerHTML" });
}

function put(fresh) {
  const picked = document.documentElement.dataset.picked;
  if (fresh.id === "log" && picked) { refreshPicked(picked); return; }
  const old = document.getElementById(fresh.id);
  if (!old || old.outerHTML === fresh.outerHTML) return;
  if (busy(old)) { waiting.set(fresh.id, fresh); note(); return; }
  const focused = old === document.activeElement;
  if (old.hasAttribute("aria-current") && old.matches(".cell")) fresh.setAttribute("aria-current", "true");
  const before = new Map([...old.querySelectorAll("[data-v]")].map((e) => [e.dataset.v, e.textContent]));
  old.replaceWith(fresh);
  window.htmx?.process?.(fresh);
  if (focused) fresh.focus();
  if (fresh.matches(".cell, tr")) fresh.classList.add("changed");
  for (const e of fresh.querySelectorAll("[data-v]")) {
    if (before.has(e.dataset.v) && before.get(e.dataset.v) !== e.textContent) e.classList.add("changed");
  }
  document.dispatchEvent(new CustomEvent("steward:fragment", { detail: fresh }));
}

function release() {
  for (const [id, fresh] of [...waiting]) {
    const old = document.getElementById(id);
    if (old && busy(old)) continue;
    waiting.delete(id);
    put(fresh);
  }
  note();
}

export function startLive() {
  const stream = document.getElementById("stream");
  const dot = document.getElementById("livedot");
  if (!stream || !dot) return;
  let off = "";
  const say = (state) => {
    if (state === dot.dataset.state) return;
    dot.dataset.state = state;
    if (state === "off") off = new Date().toTimeString().slice(0, 5);
    dot.firstElementChild.textContent = state === "live" ? "Live" : "Not live since " + off;
    document.documentElement.classList.toggle("notlive", state === "off");
  };
  stream.addEventListener("fragments", (event) => {
    say("live");
    const holder = document.createElement("template");
    // A row alone is no valid document: the template element takes it as it is.
    holder.innerHTML = event.detail.data;
    for (const fresh of [...holder.content.children]) put(fresh);
  });
  stream.addEventListener("gone", () => location.reload());
  document.addEventListener("htmx:sse:after:connection", (event) => say(event.detail.connection.status === 200 ? "live" : "off"));
  document.addEventListener("htmx:sse:error", () => say("off"));
  // The very first connection is an ordinary request; when it fails nobody
  // tries again but we.
  let tries = 0;
  const again = () => {
    say("off");
    setTimeout(() => window.htmx.ajax("GET", stream.getAttribute("hx-sse:connect"), { source: stream, swap: "none" }), Math.min(30000, 1000 * 2 ** tries++));
  };
  for (const name of ["htmx:error", "htmx:response:error"]) stream.addEventListener(name, () => { if (!stream._htmx?.sse) again(); });
  document.addEventListener("pointerout", () => setTimeout(release, 50));
  document.addEventListener("focusout", () => setTimeout(release, 50));
}
