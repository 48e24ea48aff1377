// Evidence: words of the text that stand in registered passages, and the passages most like it.
// The service names passages and never repeats them: what is quoted here is the judged text.

import { $, el, still } from "./dom.js";
import { utf16Offsets, wholeCharacter } from "./offsets.js";
import { counted } from "./words.js";

// Longer quotations are cut in the middle.
const SHOWN = 360;

/**
 * @param {?object[]} found `evidence` of a verdict: spans, rarest first, then nearest passages;
 *     null where it was not looked for
 * @param {?string} reason why it was not looked for
 */
export function showEvidence(text, found, reason) {
  const items = found ?? [];
  const spans = items.filter(({ kind }) => kind !== "nearest");
  const told = spans.filter((item) => !item.boilerplate);
  const stock = spans.filter((item) => item.boilerplate);
  const nearest = items.filter(({ kind }) => kind === "nearest");
  const units = utf16Offsets(text, spans.flatMap(({ start, end }) => [start, end]));
  const piece = (item) => span(text, item, units.get(item.start), units.get(item.end));
  $("evidence-note").textContent = found ? note(items, told) : `There is no evidence to show: ${reason || "not asked for"}.`;
  $("evidence-list").replaceChildren(...told.map(piece));
  fill("evidence-stock", stock.map(piece), counted(stock.length, "stock phrase or notice", "stock phrases and notices"));
  fill("evidence-nearest", nearest.map((item) => el("li", {}, source(item))), "Nearest passages");
}

function note(items, told) {
  if (items.length === 0) return "The index of registered passages was searched and holds nothing of this text.";
  if (told.length === 0) return "No longer run of these words stands in a registered passage.";
  return "These words stand in registered passages, the rarest first. They may stand elsewhere too.";
}

function fill(id, nodes, summary) {
  const part = $(id);
  part.hidden = nodes.length === 0;
  part.querySelector("summary").textContent = summary;
  part.querySelector("ol").replaceChildren(...nodes);
}

function span(text, item, from, to) {
  const [start, end] = [wholeCharacter(text, from), wholeCharacter(text, to)];
  const button = el("button", { type: "button", class: "quiet" }, "Show in the text");
  button.addEventListener("click", () => select($("passage"), start, end));
  return el(
    "li",
    {},
    el("blockquote", { dir: "auto" }, cut(text, start, end)),
    el("p", { class: "agree" }, agreement(item), " ", button),
    source(item),
  );
}

/** The quotation; of a long one its beginning and end. */
function cut(text, start, end) {
  if (end - start <= SHOWN) return text.slice(start, end);
  const half = SHOWN / 2;
  const [left, right] = [wholeCharacter(text, start + half), wholeCharacter(text, end - half)];
  return `${text.slice(start, left).trimEnd()} … ${text.slice(right, end).trimStart()}`;
}

function agreement({ kind, words, matched, passages, sub_datasets: many }) {
  const all = counted(words, "word", "words");
  const how = kind === "verbatim" ? `${all}, word for word` : words === matched ? `The same ${all}` : `${matched} of ${all} the same`;
  const where = passages > 1 ? `; in ${counted(passages, "passage", "passages")}${many > 1 ? ` of ${many} sub-datasets` : ""}` : "";
  return `${how}${where}.`;
}

function source({ title, url, passage_id: id, sub_dataset: from, holder, license }) {
  const name = title || id;
  // Only what a browser can open safely becomes a link.
  const link = /^https?:\/\//i.test(url ?? "")
    ? el("a", { href: url, rel: "noreferrer noopener", target: "_blank" }, name)
    : name;
  return el("p", { class: "source" }, link, el("span", { class: "hint" }, ` ${from} · ${holder} · ${license}`));
}

/** Selects UTF-16 units [start, end) of a box's text and brings them into view. */
function select(box, start, end) {
  const walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  let at = 0;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const next = at + node.data.length;
    if (start >= at && start < next) range.setStart(node, start - at);
    if (end > at && end <= next) range.setEnd(node, end - at);
    at = next;
  }
  const selection = getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
  const near = range.startContainer.parentElement;
  near?.scrollIntoView({ block: "center", behavior: still() ? "auto" : "smooth" });
}
