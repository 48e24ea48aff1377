// One verdict, from the decision down to the record of how it was made.

import { $, el, svg } from "./dom.js";
import { showEvidence } from "./evidence.js";
import { codePoints } from "./offsets.js";
import { LEAD, showPassage, stretches } from "./passage.js";
import { showLanes } from "./lanes.js";
import { showShares } from "./shares.js";
import { NONE, POLICY, counted, decision, label, leader, odds, oddsNote, percent, ruling } from "./words.js";

/**
 * Shows the whole answer.
 * @param {?number} alpha the level of p below which the decision is `unregistered`, if known
 */
export function showVerdict(text, verdict, palette, alpha) {
  palette.makeRoomFor(verdict.shares.map(({ sub_dataset: name }) => name));
  showDecision(verdict, alpha);
  showPolicy(verdict.policy);
  showShares(verdict.shares, verdict.unregistered, palette);
  $("shares-note").hidden = false;
  showAlong(text, verdict, palette);
  showEvidence(text, verdict.evidence, verdict.evidence_reason);
  showRecord(text, verdict);
  for (const id of ["evidence", "record", "odds"]) $(id).hidden = false;
}

function showDecision(verdict, alpha) {
  const { title, note } = decision(verdict.decision, verdict.abstain_reason);
  $("verdict").dataset.decision = verdict.decision;
  $("decision").textContent = title;
  const named = verdict.decision === "registered" ? leader(verdict.shares) : "";
  $("decision-note").textContent = [named, note].filter(Boolean).join(" ");
  showOdds(verdict.p_value, alpha);
}

/** The p-value as a sentence, and as so many of a hundred dots. */
export function showOdds(p, alpha) {
  const { count, of, words } = odds(p);
  $("odds-words").textContent = words;
  $("odds-note").textContent = oddsNote(p, alpha);
  const filled = of === 100 ? count : 0;
  const label = of === 100 ? `${count} of 100 dots filled` : "fewer than 1 of 100 dots filled";
  const drawing = svg("svg", { viewBox: "0 0 200 50", role: "img", "aria-label": label });
  for (let n = 0; n < 100; n += 1) {
    const [x, y] = [5 + 10 * Math.floor(n / 5), 5 + 10 * (n % 5)];
    drawing.append(svg("circle", { cx: x, cy: y, r: 3.6, class: n < filled ? "full" : "empty" }));
  }
  $("dots").replaceChildren(drawing);
}

function showPolicy(policy) {
  $("policy").hidden = !policy;
  if (!policy) return;
  $("policy").dataset.action = policy.action;
  $("policy-title").textContent = POLICY[policy.action] ?? `Policy: ${policy.action}`;
  $("policy-reason").textContent = policy.reason || ruling(policy);
  // What our own sentence has said is not said twice.
  const unsaid = policy.reason && [
    policy.rule && `Rule ${policy.rule}`,
    policy.sub_dataset && `Sub-dataset ${policy.sub_dataset}`,
    Number.isFinite(policy.share) && `Share ${percent(policy.share)}`,
  ];
  const facts = [policy.holder && `Holder: ${policy.holder}`, ...(unsaid || [])];
  $("policy-facts").textContent = facts.filter(Boolean).join(" · ");
}

function showAlong(text, verdict, palette) {
  const list = stretches(text, verdict.timeline ?? []);
  const box = $("passage");
  const nodes = showPassage(box, text, list, palette);
  box.scrollTop = 0;
  $("lanes-part").hidden = list.length === 0;
  $("lanes-note").textContent =
    "The higher a lane, the more of the words there its sub-dataset accounts for. With what none of them accounts for, lanes add up to 100\u00a0% everywhere.";
  if (list.length) showLanes(list, text.length, palette, box, nodes);
  showLegend(list, palette);
}

function showLegend(list, palette) {
  const led = list.filter(({ lead }) => lead >= LEAD).map(({ name }) => name);
  const place = (name) => (name === NONE ? "Z" : palette.letter(name));
  const names = [...new Set(led)].sort((a, b) => place(a).localeCompare(place(b)));
  const entry = (name) =>
    el("li", { class: palette.colour(name) }, palette.swatch(name), el("span", { class: "sample" }, label(name)));
  $("legend").replaceChildren(...names.map(entry));
  $("legend-note").textContent = list.length
    ? `Colour, underline and letter: which sub-dataset accounts for most of the words here; stronger where it is further ahead, none where nobody is. Grey: none of them does. Resemblance is not proof of copying.`
    : "This answer says nothing about places in the text.";
}

function showRecord(text, verdict) {
  const { model } = verdict;
  const probe = model.probe === null ? "words alone, no LM" : model.probe_revision ? `${model.probe} (${model.probe_revision})` : model.probe;
  const facts = {
    Model: `${model.name}, version ${model.version}`,
    "Read with": probe,
    Length: `${counted(codePoints(text), "character", "characters")}, ${counted(verdict.tokens, "token", "tokens")}`,
    "ood_score": `${verdict.ood_score.toFixed(2)} nats (larger = less like anything registered)`,
    "text_sha256": verdict.text_sha256,
  };
  if (verdict.policy?.policy) facts.Policy = verdict.policy.policy;
  if (verdict.truncated) facts.Truncated = "only the beginning of the text was judged";
  const value = (name, said) => (name === "text_sha256" ? el("code", {}, said) : said);
  const entry = ([name, said]) =>
    el("div", {}, el("dt", {}, name), el("dd", {}, value(name, said)));
  $("facts").replaceChildren(...Object.entries(facts).map(entry));
  checkHash(text, verdict.text_sha256);
  $("copy").onclick = () => copy(verdict);
  $("download").onclick = () => download(verdict);
}

/** Offsets hold only for the very text that was judged: says so if it is another. */
async function checkHash(text, expected) {
  // Browsers offer this on https and localhost only.
  if (!globalThis.crypto?.subtle) return;
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  const found = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  if (found === expected || $("passage").textContent !== text) return;
  const warning = "The service judged a slightly different text, so colours may be off by some characters.";
  $("legend-note").textContent = `${warning} ${$("legend-note").textContent}`;
}

async function copy(verdict) {
  const json = JSON.stringify(verdict, null, 2);
  try {
    await navigator.clipboard.writeText(json);
    $("status").textContent = "The verdict is on the clipboard.";
    flash($("copy"), "Copied");
  } catch {
    $("status").textContent = "The browser does not allow copying; download it instead.";
    flash($("copy"), "Not allowed here: download it");
  }
}

function flash(button, words) {
  const before = (button.dataset.words ??= button.textContent);
  button.textContent = words;
  setTimeout(() => (button.textContent = before), 2000);
}

function download(verdict) {
  const blob = new Blob([JSON.stringify(verdict, null, 2)], { type: "application/json" });
  const link = el("a", { href: URL.createObjectURL(blob), download: `verdict-${verdict.text_sha256.slice(0, 12)}.json` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** What is said aloud once an answer is there. */
export const announced = (verdict) =>
  [
    `${decision(verdict.decision).title}.`,
    verdict.decision === "registered" ? leader(verdict.shares) : "",
    verdict.policy ? `${POLICY[verdict.policy.action] ?? verdict.policy.action}.` : "",
  ].join(" ");
