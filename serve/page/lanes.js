// The time line: one lane for each sub-dataset, its height the share there, and the last one for
// what none of them accounts for. Lanes stand apart, so that place and letter tell them apart, not
// colour alone. A slider walks through the stretches.

import { $, el, still, svg, vars } from "./dom.js";
import { LEAD } from "./passage.js";
import { NONE, label, mix, whole } from "./words.js";

const WIDTH = 1000;
const LANE = 100;
const GAP = 14;
const MOST = 8;
const FAINT = 0.1;

/** Draws the lanes and connects the slider with the text. */
export function showLanes(list, length, palette, box, nodes) {
  const names = lanesFor(list);
  const height = names.length * LANE;
  const cursor = svg("rect", { class: "cursor", y: 0, height, x: 0, width: 0 });
  const drawing = svg("svg", {
    viewBox: `0 0 ${WIDTH} ${height}`,
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": inWords(list),
  });
  names.forEach((name, row) => {
    drawing.append(baseline(row), area(name, row, list, length, palette));
  });
  drawing.append(cursor);
  const labels = el("ul", { class: "lane-names" });
  labels.append(
    ...names.map((name) => el("li", { title: label(name) }, palette.swatch(name), el("span", {}, label(name)))),
  );
  $("lanes").replaceChildren(labels, el("div", { class: "drawing" }, drawing));
  vars($("lanes"), { lanes: names.length });
  walk({ list, length, palette, box, nodes, cursor, drawing });
}

/** Sub-datasets that are worth a lane, those that fill most of the text first; `NONE` is last. */
export function lanesFor(list) {
  const most = new Map();
  const filled = new Map();
  for (const { from, to, shares } of list) {
    for (const [name, share] of Object.entries(shares)) {
      most.set(name, Math.max(most.get(name) ?? 0, share));
      filled.set(name, (filled.get(name) ?? 0) + share * (to - from));
    }
  }
  const names = [...filled.keys()].filter((name) => name !== NONE);
  const order = names.sort((a, b) => filled.get(b) - filled.get(a));
  const lanes = order.filter((name, rank) => rank === 0 || most.get(name) >= FAINT).slice(0, MOST);
  return most.get(NONE) >= FAINT ? [...lanes, NONE] : lanes;
}

function baseline(row) {
  const y = (row + 1) * LANE;
  return svg("line", { class: "baseline", x1: 0, x2: WIDTH, y1: y, y2: y });
}

function area(name, row, list, length, palette) {
  const floor = (row + 1) * LANE;
  const x = (unit) => ((unit * WIDTH) / length).toFixed(1);
  const steps = list.map(({ from, to, shares }) => {
    const top = (floor - (shares[name] ?? 0) * (LANE - GAP)).toFixed(1);
    return `M${x(from)} ${floor}V${top}H${x(to)}V${floor}Z`;
  });
  return svg("path", { class: `lane ${palette.colour(name)}`, d: steps.join("") });
}

/** The drawing as a sentence: who leads where. */
export function inWords(list) {
  const runs = [];
  for (const { name, lead, item } of list) {
    const who = lead < LEAD ? "nobody leads" : name === NONE ? "none of them accounts for most" : `${name} leads`;
    if (runs.at(-1)?.who === who) runs.at(-1).end = item.end;
    else runs.push({ who, start: item.start, end: item.end });
  }
  const shown = runs
    .slice(0, 12)
    .map(({ who, start, end }) => `${who} in characters ${whole(start + 1)} to ${whole(end)}`);
  const rest = runs.length > 12 ? `; and ${runs.length - 12} more stretches` : "";
  return `Shares along the text: ${shown.join("; ")}${rest}.`;
}

function walk({ list, length, palette, box, nodes, cursor, drawing }) {
  const scrub = $("scrub");
  let marked = null;
  scrub.max = Math.max(0, list.length - 1);
  scrub.value = 0;

  function go(index, scroll) {
    const { from, to, item, shares } = list[index];
    const place = `Characters ${whole(item.start + 1)} to ${whole(item.end)}`;
    const named = mix(shares, (name) => `${palette.letter(name)} ${label(name)}`);
    $("readout").textContent = `${place}: ${named}`;
    scrub.setAttribute("aria-valuetext", `${place}: ${mix(shares, label)}`);
    cursor.setAttribute("x", (from * WIDTH) / length);
    cursor.setAttribute("width", Math.max(2, ((to - from) * WIDTH) / length));
    marked?.classList.remove("here");
    marked = nodes[index];
    if (!scroll) return;
    marked.classList.add("here");
    const place0 = marked.getBoundingClientRect().top - box.getBoundingClientRect().top;
    const top = box.scrollTop + place0 - box.clientHeight / 3;
    box.scrollTo({ top, behavior: still() ? "auto" : "smooth" });
  }

  // Handlers are properties: a new verdict replaces those of the one before.
  scrub.oninput = () => go(Number(scrub.value), true);
  drawing.onclick = (event) => {
    const at = (event.offsetX / drawing.clientWidth) * length;
    scrub.value = Math.max(0, list.findLastIndex(({ from }) => from <= at));
    scrub.oninput();
  };
  box.onclick = (event) => {
    const index = nodes.indexOf(event.target.closest?.(".stretch"));
    if (index < 0) return;
    scrub.value = index;
    go(index, false);
    marked.classList.add("here");
  };
  go(0, false);
}

