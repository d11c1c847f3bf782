// Charts of a device: each is fed from the page's own address of samples and
// drawn by uPlot. The table beneath holds the same numbers in words.

const color = (name) => {
  const probe = document.createElement("i");
  probe.hidden = true;
  document.body.append(probe);
  probe.style.color = `var(${name})`;
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
};
const bytes = (v) => {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let n = 0;
  while (v >= 1000 && n < units.length - 1) { v /= 1000; n++; }
  return (v < 10 && n ? v.toFixed(1) : Math.round(v)) + " " + units[n];
};
const text = (unit) => (unit === "1" ? (v) => Math.round(v * 100) + " %" : unit === "By/s" ? (v) => bytes(v) + "/s" : unit === "By" ? bytes : (v) => String(Math.round(v * 100) / 100));

// bands draws the patch windows behind, and a line for each update that ended.
function bands(windows, flags) {
  return {
    hooks: {
      drawClear: [(u) => {
        const { ctx, bbox } = u;
        ctx.save();
        ctx.beginPath();
        ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
        ctx.clip();
        ctx.fillStyle = color("--band");
        for (const [from, to] of windows) {
          const a = u.valToPos(from, "x", true), b = u.valToPos(to, "x", true);
          ctx.fillRect(a, bbox.top, Math.max(1, b - a), bbox.height);
        }
        ctx.setLineDash([3, 3]);
        for (const flag of flags) {
          const x = Math.round(u.valToPos(flag.at, "x", true)) + 0.5;
          ctx.strokeStyle = color("--" + flag.tone + "-solid");
          ctx.beginPath(); ctx.moveTo(x, bbox.top); ctx.lineTo(x, bbox.top + bbox.height); ctx.stroke();
        }
        ctx.restore();
      }],
    },
  };
}

// zone formats the axis in the device's own zone, not the browser's.
function ticks(zone, span) {
  const day = new Intl.DateTimeFormat("en-GB", { timeZone: zone, weekday: "short", day: "numeric" });
  const hour = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit" });
  return (u, list) => list.map((t) => (span > 3 * 86400 ? day : hour).format(new Date(t * 1000)));
}

function draw(box, data) {
  const last = box.classList.contains("last");
  const ink3 = color("--ink3"), line = color("--line");
  const say = text(data.unit);
  const lines = ["--ink", "--moving-solid", "--hold-solid", "--unknown-solid"];
  const top = data.unit === "1" ? 1 : Math.max(1, ...data.values.flat().filter((v) => v != null)) * 1.1;
  box.replaceChildren();
  const options = {
    width: box.clientWidth, height: box.clientHeight, padding: [6, 2, last ? 0 : 6, 0], legend: { show: false },
    cursor: { y: false, points: { size: 5 }, sync: { key: "device" } },
    scales: { x: { time: true, min: data.from, max: data.to }, y: { range: [0, top] } },
    axes: [
      { show: last, stroke: ink3, font: "11px Inter, sans-serif", size: 22, grid: { show: false }, ticks: { show: false }, values: ticks(data.zone, data.to - data.from) },
      { stroke: ink3, font: "11px Inter, sans-serif", size: 52, grid: { stroke: line, width: 1 }, ticks: { show: false }, splits: () => [0, top / 2, top], values: (u, list) => list.map(say) },
    ],
    series: [{}, ...data.values.map((_, n) => ({ stroke: color(lines[n % lines.length]), width: 1.5, points: { show: false }, spanGaps: false }))],
    plugins: [bands(data.windows ?? [], data.flags ?? [])],
  };
  const plot = new window.uPlot(options, [data.times, ...data.values], box);
  new ResizeObserver(() => plot.setSize({ width: box.clientWidth, height: box.clientHeight })).observe(box);
}

async function load(box) {
  try {
    const answer = await fetch(box.dataset.src, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(String(answer.status));
    const data = await answer.json();
    if (!data.times.length) { box.textContent = "No samples in this time."; return; }
    draw(box, data);
  } catch {
    box.textContent = "Samples did not load. The rest of the page is right; trying again in 30 s.";
    setTimeout(() => load(box), 30000);
  }
}

export function start() {
  const boxes = [...document.querySelectorAll(".chart[data-src]")];
  boxes.forEach(load);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => boxes.forEach(load));
  setInterval(() => { if (!document.hidden) boxes.forEach(load); }, 60000);
}
