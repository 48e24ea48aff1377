// What is shown while the LM writes. Nothing above the text changes its height, so that it can be
// read as it comes.

import { $, el } from "./dom.js";
import { announced, showOdds, showVerdict } from "./result.js";
import { ServiceError, errorLine } from "./service.js";
import { showShares } from "./shares.js";
import { counted, decision, percent } from "./words.js";

export class Live {
  #rights;
  #palette;
  #alpha;
  #text = "";
  #blocked = null;
  #judged = false;

  /** @param {Map<string, {holder, license}>} rights */
  constructor(rights, palette, alpha) {
    this.#rights = rights;
    this.#alpha = alpha;
    this.#palette = palette;
    for (const id of ["policy", "flags", "shares", "evidence", "record", "lanes-part"]) $(id).hidden = true;
    // Held open, empty, until there is something to say.
    $("odds-words").textContent = "Not judged yet.";
    $("odds-note").textContent = "The first shares come after some tokens.";
    $("dots").replaceChildren();
    $("odds").hidden = false;
    $("verdict").dataset.decision = "writing";
    this.#head("Writing", "The LM goes on from your prompt.");
    $("flags-list").replaceChildren();
    $("legend").replaceChildren();
    $("legend-note").textContent = "Colours come when it has finished.";
    $("passage").replaceChildren();
    $("passage").scrollTop = 0;
    $("result").classList.add("written");
    $("result").hidden = false;
  }

  handle({ event, data }) {
    if (event === "token") this.#token(data.text);
    else if (event === "shares") this.#shares(data);
    else if (event === "flag") this.#flag(data);
    else if (event === "blocked") this.#block(data);
    else if (event === "verdict") this.#verdict(data);
    else if (event === "error") throw new ServiceError(0, errorLine(data) || "The LM broke off.");
    // Other events are those of a newer service.
  }

  /** After the last event, whatever it was. */
  end(stopped) {
    if (this.#judged || this.#blocked) return;
    if (!this.#text.trim()) this.#head("Nothing was written", "There is nothing to judge.");
    else if (stopped) this.#head("Stopped", "What stands here was not judged as a whole.");
    else this.#head("Broken off", "The service sent no verdict on the whole text.");
    $("legend-note").textContent = "Colours come with a verdict on the whole text only.";
  }

  #head(title, note) {
    $("decision").textContent = title;
    $("decision-note").textContent = note;
  }

  #token(text) {
    const box = $("passage");
    const follows = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
    this.#text += text;
    // One text node for each stretch between flags.
    if (box.lastChild?.nodeType === Node.TEXT_NODE) box.lastChild.appendData(text);
    else box.append(text);
    if (follows) box.scrollTop = box.scrollHeight;
  }

  #shares({ shares, quoted = {}, unregistered, p_value: p, tokens }) {
    const rows = Object.entries(shares)
      .map(([name, share]) => ({ sub_dataset: name, share, quoted: quoted[name], ...this.#of(name) }))
      .sort((a, b) => b.share - a.share);
    this.#palette.makeRoomFor(rows.map(({ sub_dataset: name }) => name));
    $("shares").hidden = false;
    $("shares-note").hidden = true;
    showShares(rows, unregistered, this.#palette);
    showOdds(p, this.#alpha);
    $("decision-note").textContent = `The figures are those after ${counted(tokens, "token", "tokens")}.`;
  }

  #flag({ decision: name, sub_dataset: from, share, tokens }) {
    const number = $("flags-list").children.length + 1;
    const { holder } = this.#of(from);
    const whom = from ? `: ${from}${holder ? ` (${holder})` : ""}, ${percent(share)}` : "";
    const said = `After ${counted(tokens, "token", "tokens")}: ${lower(decision(name).title)}${whom}.`;
    $("flags-list").append(el("li", {}, said));
    $("flags").hidden = false;
    // Only what draws on something registered is flagged; the rest is told, with its number.
    const kind = name === "registered" ? "Flag" : "Finding";
    $("passage").append(el("span", { class: "flag-mark", role: "img", "aria-label": `${kind} ${number}` }, String(number)));
    $("status").textContent = `${kind}. ${said}`;
  }

  #block(data) {
    this.#blocked = data;
    this.#showBlock();
    this.#head("Stopped by policy", "The service withholds the rest.");
    $("verdict").dataset.decision = "blocked";
    $("legend-note").textContent = "What was written up to the stop.";
    $("status").textContent = `Stopped by policy. ${data.reason ?? ""}`;
  }

  #showBlock() {
    const { reason, sub_dataset: from, holder } = this.#blocked;
    $("policy").hidden = false;
    $("policy").dataset.action = "block";
    $("policy-title").textContent = "Policy: blocked";
    $("policy-reason").textContent = reason ?? "";
    $("policy-facts").textContent = [from && `sub-dataset ${from}`, holder && `holder ${holder}`]
      .filter(Boolean)
      .join(", ");
  }

  #verdict(verdict) {
    this.#judged = true;
    showVerdict(this.#text, verdict, this.#palette, this.#alpha);
    // While it writes nobody looks for evidence; a finished text can be judged like any other.
    $("evidence").hidden = !verdict.evidence?.length;
    $("status").textContent = announced(verdict);
    if (this.#blocked) this.#showBlock();
  }

  #of(name) {
    return this.#rights.get(name) ?? {};
  }
}

const lower = (words) => words[0].toLowerCase() + words.slice(1);
