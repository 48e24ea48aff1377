// Which sub-dataset has which colour, letter and underline. A letter stands beside every colour,
// so that no one has to tell colours apart.

import { el } from "./dom.js";
import { NONE } from "./words.js";

export const SLOTS = 8;
const LETTERS = "ABCDEFGH";

export class Palette {
  #slots = new Map();

  /** Gives each name a slot of its own while some are free; who has one keeps it. */
  assign(names) {
    for (const name of names) {
      if (this.#slots.size >= SLOTS) return;
      if (!this.#slots.has(name)) this.#slots.set(name, this.#slots.size);
    }
  }

  /** With more names than colours, colours go to those that matter for the text at hand. */
  makeRoomFor(names) {
    const asked = names.slice(0, SLOTS);
    if (asked.some((name) => !this.#slots.has(name)) && this.#slots.size >= SLOTS) {
      this.#slots.clear();
    }
    this.assign(names);
  }

  /** CSS class, s0 to s7, `rest`, or `none` where no sub-dataset is meant. */
  colour(name) {
    if (name === NONE) return "none";
    const slot = this.#slots.get(name);
    return slot === undefined ? "rest" : `s${slot}`;
  }

  letter(name) {
    if (name === NONE) return "–";
    const slot = this.#slots.get(name);
    return slot === undefined ? "·" : LETTERS[slot];
  }

  swatch(name) {
    const mark = el("span", { class: `swatch ${this.colour(name)}`, "aria-hidden": "true" });
    mark.textContent = this.letter(name);
    return mark;
  }
}
