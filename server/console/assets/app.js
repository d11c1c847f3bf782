// Everything here is on top: each page works without it. Copying, the keys,
// confirming nothing and inventing nothing: what it sends are the page's own
// links and forms.
import { startLive } from "./live.js";

const $ = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const root = document.documentElement;
root.classList.remove("nojs");

// Copy buttons take the text of the element that they name.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const text = $(button.dataset.copy)?.textContent ?? "";
  navigator.clipboard?.writeText(text.trim()).then(() => {
    const label = $("span", button);
    const before = label.textContent;
    label.textContent = "Copied";
    setTimeout(() => { label.textContent = before; }, 1500);
  });
});

// Menus close on a click elsewhere and on Escape.
document.addEventListener("click", (event) => {
  for (const open of all("details.drop[open]")) if (!open.contains(event.target)) open.open = false;
});

// A form is sent once; its button says that it works.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) { event.preventDefault(); return; }
  if (form.method === "post") form.dataset.sent = "1";
});
addEventListener("pageshow", () => all("form[data-sent]").forEach((form) => delete form.dataset.sent));

// Selecting rows: one box for all, a count, and shift for a range.
let last = null;
document.addEventListener("click", (event) => {
  const box = event.target.closest(".chk input");
  if (!box) return;
  const boxes = all("tbody .chk input", box.form);
  if (box.matches("thead input")) boxes.forEach((b) => { b.checked = box.checked; });
  else if (event.shiftKey && last && boxes.includes(last)) {
    const [a, b] = [boxes.indexOf(last), boxes.indexOf(box)].sort((x, y) => x - y);
    boxes.slice(a, b + 1).forEach((one) => { one.checked = box.checked; });
  }
  last = box;
  const count = $(".bulk output", box.form);
  if (count) count.textContent = boxes.filter((b) => b.checked).length + " selected";
});

// Cells of a grid open their device's log beneath, and arrows move on them.
document.addEventListener("click", (event) => {
  const cell = event.target.closest(".cell");
  if (!cell || event.metaKey || event.ctrlKey || event.shiftKey || !window.htmx) return;
  event.preventDefault();
  all(".cell[aria-current]").forEach((c) => c.removeAttribute("aria-current"));
  cell.setAttribute("aria-current", "true");
  history.replaceState(null, "", cell.href);
  root.dataset.picked = cell.href;
  htmx.ajax("GET", cell.href, { target: "#log", select: "#log", swap: "outerHTML" });
});

const keys = { o: "overview", d: "devices", u: "updates", r: "deployments", p: "policies", c: "customers" };
let went = false;
function rows() { return all("tbody tr[id], .needs li").filter((r) => $("a[href]", r)); }
function step(by) {
  const list = rows();
  const at = list.indexOf(document.activeElement?.closest("tbody tr, .needs li"));
  const next = list[Math.max(0, Math.min(list.length - 1, at + by))];
  if (next) $("a[href]", next).focus();
}
function moveCell(key) {
  const cells = all(".cell");
  const at = cells.indexOf(document.activeElement);
  if (at < 0) return false;
  const top = cells[at].getBoundingClientRect();
  const rowsOf = (dir) => cells.filter((c) => dir * (c.getBoundingClientRect().top - top.top) > 4)
    .sort((a, b) => dir * (a.getBoundingClientRect().top - b.getBoundingClientRect().top) * 1000
      + Math.abs(a.getBoundingClientRect().left - top.left) - Math.abs(b.getBoundingClientRect().left - top.left))[0];
  const to = { ArrowLeft: cells[at - 1], ArrowRight: cells[at + 1], ArrowUp: rowsOf(-1), ArrowDown: rowsOf(1) }[key];
  to?.focus();
  return true;
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    all("details.drop[open]").forEach((d) => { d.open = false; });
    if (document.activeElement?.matches("input, textarea")) document.activeElement.blur();
    return;
  }
  if (event.key.startsWith("Arrow") && moveCell(event.key)) { event.preventDefault(); return; }
  if (root.dataset.keys === "off" || event.metaKey || event.ctrlKey || event.altKey) return;
  if (event.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]")) return;
  const key = event.key;
  if (went) {
    went = false;
    const to = keys[key] && $(`nav [data-go="${keys[key]}"]`);
    if (to) { event.preventDefault(); location.href = to.href; }
    return;
  }
  const act = {
    "/": () => $("#find")?.focus(), g: () => { went = true; setTimeout(() => { went = false; }, 1500); },
    j: () => step(1), k: () => step(-1), f: () => $("#filter")?.focus(), "?": () => $("#keys")?.showModal?.(),
    x: () => $(".chk input", document.activeElement.closest("tr") ?? document.createElement("i"))?.click(),
    "]": () => $(".tabs [aria-current]")?.nextElementSibling?.click(), "[": () => $(".tabs [aria-current]")?.previousElementSibling?.click(),
  }[key];
  if (act) { event.preventDefault(); act(); }
});

// The error summary takes the focus, so that it is read first.
$(".summary")?.focus();
startLive();
if ($(".chart")) import("./charts.js").then((m) => m.start());
