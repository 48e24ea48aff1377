// The page: two ways to a text, one way to show its verdict.

import { $, el, still } from "./dom.js";
import { Live } from "./live.js";
import { codePoints, wellFormed } from "./offsets.js";
import { Palette, SLOTS } from "./palette.js";
import { announced, showVerdict } from "./result.js";
import { SAMPLES } from "./samples.js";
import * as service from "./service.js";
import { basisOf, counted, percent, shown } from "./words.js";

const palette = new Palette();
const rights = new Map();
// What waits for an API key; done again once there is one.
const waiting = new Map();
let writing = null;

// ---- errors and the key ------------------------------------------------------------------------

function showError(line) {
  $("error").textContent = line;
  $("error").hidden = !line;
}

/** Runs an action; if the service wants a key, asks for it and runs the action again. */
async function attempt(name, action) {
  showError("");
  try {
    await action();
    waiting.delete(name);
  } catch (problem) {
    // No key, or one that the service does not know.
    if (problem.status === 401 || problem.status === 403) {
      waiting.set(name, action);
      askForKey(problem);
    } else if (problem instanceof service.ServiceError) {
      showError(problem.message);
    } else {
      showError(`This page stumbled: ${problem.message}. Reloading it may help.`);
      throw problem;
    }
  }
}

function askForKey({ status, message }) {
  const again = !$("key-form").hidden;
  $("key-form").hidden = false;
  // At first the form says enough.
  if (again || status === 403) showError(message);
  $("key").focus();
}

$("key-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  service.useKey($("key").value.trim());
  const actions = [...waiting];
  waiting.clear();
  for (const [name, action] of actions) await attempt(name, action);
  if (waiting.size === 0) {
    $("key-form").hidden = true;
    $("key").value = "";
    $(actions.at(-1)?.[0] === "write" ? "prompt" : "text").focus();
  }
});

// ---- the registry ------------------------------------------------------------------------------

let alpha = null;

async function loadRegistry() {
  if (rights.size) return;
  const found = await service.registry();
  const { model, sub_datasets: entries } = found;
  alpha = found.alpha ?? null;
  $("model").textContent = `${model.name}, version ${model.version}`;
  const names = entries.map((entry) => entry.sub_dataset);
  for (const entry of entries) rights.set(entry.sub_dataset, entry);
  // As long as all have a colour, each keeps its own from text to text.
  if (names.length <= SLOTS) palette.assign(names);
  $("registry-count").textContent = counted(names.length, "registered sub-dataset", "registered sub-datasets");
  const item = (entry) => {
    const facts = [entry.holder, entry.license, shown(basisOf(entry))].join(" · ");
    const audited = (found.audit?.[entry.sub_dataset] ?? []).map((said) => el("span", { class: "hint" }, said));
    return el("li", {}, el("span", { class: "name" }, entry.sub_dataset), el("span", { class: "hint" }, facts), ...audited);
  };
  $("registry-list").replaceChildren(...entries.map(item));
  $("registry-lm").textContent = lmFacts(found);
  $("shares-interval").textContent = percent(found.interval);
  // Some LMs only read. Until the service has told, the tab is there and not yet shown.
  if (!found.generation) withoutWriting();
  $("tab-write").classList.remove("pending");
}

/** Which LM reads the texts, where it is from, and under what licence. */
function lmFacts({ model, lineage }) {
  if (model.probe === null) return "Read by words alone, no LM.";
  const { probe_source: source, probe_license: license, probe_layers: layers } = lineage;
  const facts = [source ?? model.probe, license ? `licence ${license}` : "", layers ? `layers ${layers}` : ""];
  return `Read with the LM ${facts.filter(Boolean).join(" · ")}`;
}

// ---- tabs --------------------------------------------------------------------------------------

const tabs = [$("tab-judge"), $("tab-write")];

function choose(tab, focus = false) {
  for (const other of tabs) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", String(chosen));
    other.tabIndex = chosen ? 0 : -1;
    $(other.getAttribute("aria-controls")).hidden = !chosen;
  }
  if (focus) tab.focus();
  showError("");
}

for (const tab of tabs) {
  tab.addEventListener("click", () => choose(tab));
  tab.addEventListener("keydown", (event) => {
    const open = tabs.filter((other) => !other.hidden);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const ends = { Home: 0, End: open.length - 1 }[event.key];
    if (step === undefined && ends === undefined) return;
    event.preventDefault();
    choose(open[ends ?? (open.indexOf(tab) + step + open.length) % open.length], true);
  });
}

function withoutWriting() {
  $("tab-write").hidden = true;
  choose($("tab-judge"));
}

// ---- judging -----------------------------------------------------------------------------------

let counting = 0;
$("text").addEventListener("input", () => {
  // Counting a long text at every key would be felt.
  clearTimeout(counting);
  counting = setTimeout(showCount, $("text").value.length > 20_000 ? 250 : 0);
});

function showCount() {
  $("count").textContent = counted(codePoints($("text").value), "character", "characters");
}

for (const { name, text } of SAMPLES) {
  const button = el("button", { type: "button", class: "sample-button" }, name);
  button.addEventListener("click", () => {
    $("text").value = text;
    $("text").scrollTop = 0;
    showCount();
    $("judge").focus();
  });
  document.querySelector(".samples").append(button);
}

$("form-judge").addEventListener("submit", (event) => {
  event.preventDefault();
  if ($("judge").getAttribute("aria-disabled") === "true") return;
  const text = wellFormed($("text").value);
  if (!text.trim()) {
    showError("There is no text yet. Paste one, or take a sample.");
    $("text").focus();
    return;
  }
  attempt("judge", () => judge(text));
});

async function judge(text) {
  busy($("judge"), "Judging", true);
  try {
    // It may not have been ready when the page was opened.
    await loadRegistry();
    const verdict = await service.attribute(text);
    $("result").classList.remove("written");
    $("flags").hidden = true;
    $("result").hidden = false;
    $("shares").hidden = false;
    showVerdict(text, verdict, palette, alpha);
    $("status").textContent = announced(verdict);
    reveal();
  } finally {
    busy($("judge"), "Judge", false);
  }
}

/** Marks a button as working without taking the focus away from it, as `disabled` would. */
function busy(button, words, is) {
  button.textContent = words;
  button.setAttribute("aria-disabled", String(is));
  $("result").setAttribute("aria-busy", String(is));
  if (is) $("status").textContent = `${words}.`;
}

/** Brings the answer into view where it would begin below the fold. */
function reveal() {
  const top = $("result").getBoundingClientRect().top;
  if (top > 0.5 * innerHeight || top < 0) {
    $("result").scrollIntoView({ block: "start", behavior: still() ? "auto" : "smooth" });
  }
}

// ---- writing -----------------------------------------------------------------------------------

$("form-write").addEventListener("submit", (event) => {
  event.preventDefault();
  if (writing) return;
  const prompt = wellFormed($("prompt").value);
  if (!prompt.trim()) {
    showError("There is no prompt yet. Give at least one word.");
    $("prompt").focus();
    return;
  }
  attempt("write", () => write(prompt, Number($("max-tokens").value) || 200));
});

$("stop").addEventListener("click", () => writing?.abort());

async function write(prompt, maxTokens) {
  writing = new AbortController();
  const { signal } = writing;
  busy($("write"), "Writing", true);
  $("stop").disabled = false;
  let live = null;
  try {
    for await (const event of service.generate(prompt, maxTokens, signal)) {
      if (!live) {
        live = new Live(rights, palette, alpha);
        reveal();
      }
      live.handle(event);
    }
  } catch (problem) {
    if (problem.status === 404) withoutWriting();
    if (!signal.aborted) throw problem;
  } finally {
    // Stopped before the first token: what still stands there is of another text.
    if (!live && signal.aborted) live = new Live(rights, palette, alpha);
    live?.end(signal.aborted);
    busy($("write"), "Write", false);
    // A disabled button would drop the focus at the top of the page.
    if (document.activeElement === $("stop")) $("write").focus();
    $("stop").disabled = true;
    writing = null;
  }
}

for (const [field, form] of [["text", "form-judge"], ["prompt", "form-write"]]) {
  $(field).addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    $(form).requestSubmit();
  });
}

// ---- beginning ---------------------------------------------------------------------------------

showCount();
attempt("registry", loadRegistry);
