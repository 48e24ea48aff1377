// The text, coloured by the sub-dataset that leads in each stretch of it.

import { el, vars } from "./dom.js";
import { utf16Offsets, wholeCharacter } from "./offsets.js";
import { NONE } from "./words.js";

// Below this lead nobody leads: no colour rather than a guess.
export const LEAD = 0.05;
// More stretches than this are merged with their neighbours: long texts stay quick to scroll.
const MANY = 1500;

/**
 * The timeline over the text's UTF-16 units: in order, without overlaps, whole characters only.
 * @returns {{from: number, to: number, name: string, lead: number, shares: object, item: object}[]}
 */
export function stretches(text, timeline) {
  const items = [...timeline].sort((a, b) => a.start - b.start);
  const units = utf16Offsets(text, items.flatMap((item) => [item.start, item.end]));
  const found = [];
  let at = 0;
  for (const item of items) {
    const from = Math.max(at, wholeCharacter(text, units.get(item.start)));
    const to = wholeCharacter(text, units.get(item.end));
    if (to <= from) continue;
    const shares = { ...item.shares, [NONE]: item.unregistered ?? 0 };
    found.push({ from, to, ...leading(shares), shares, item });
    at = to;
  }
  return found.length > MANY ? merged(found) : found;
}

/** Who leads, `NONE` among them, and by how much more than the next. */
export function leading(shares) {
  let [name, first, second] = [NONE, 0, 0];
  for (const [key, share] of Object.entries(shares)) {
    if (share > first) [name, first, second] = [key, share, first];
    else if (share > second) second = share;
  }
  return { name, lead: first - second };
}

/** Neighbours with the same leader become one; its figures are those of their longest part. */
function merged(list) {
  const result = [];
  for (const next of list) {
    const last = result.at(-1);
    const joins = last && last.to === next.from && last.name === next.name;
    if (!joins || Math.abs(last.lead - next.lead) > 0.2) {
      result.push({ ...next });
      continue;
    }
    const item = { ...last.item, end: next.item.end };
    const longer = next.to - next.from > last.to - last.from ? next : last;
    Object.assign(last, { to: next.to, lead: longer.lead, shares: longer.shares, item });
  }
  return result;
}

/**
 * Fills the box with the text. Colour and underline say who leads, their strength by how much; a
 * letter stands where the leader changes. What none of them accounts for is grey.
 * @returns {HTMLElement[]} one node per stretch
 */
export function showPassage(box, text, list, palette) {
  const page = document.createDocumentFragment();
  const nodes = [];
  let at = 0;
  let before = null;
  for (const { from, to, name, lead } of list) {
    if (from > at) page.append(text.slice(at, from));
    const led = lead >= LEAD;
    const colour = led ? palette.colour(name) : "even";
    const node = el("span", { class: `stretch ${colour}` }, text.slice(from, to));
    if (led) vars(node, { lead: lead.toFixed(3) });
    if (led && name !== before) node.dataset.letter = palette.letter(name);
    before = led ? name : null;
    nodes.push(node);
    page.append(node);
    at = to;
  }
  page.append(text.slice(at));
  box.replaceChildren(page);
  box.classList.toggle("code", looksLikeCode(text));
  return nodes;
}

/** Whether columns matter more than reading comfort. */
export function looksLikeCode(text) {
  const lines = text.slice(0, 4000).split("\n").filter((line) => line.trim());
  const marked = lines.filter((line) => /^(\s{2,}|\t)|[{};:]\s*$|^\s*(#|\/\/)/.test(line));
  const size = (some) => some.reduce((sum, line) => sum + line.length, 0);
  return lines.length > 3 && size(marked) / size(lines) > 0.4;
}
