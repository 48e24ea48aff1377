// Shares as bars with their intervals; the same bars serve while the LM writes.

import { $, el, vars } from "./dom.js";
import { BASES, LEAST_QUOTED, NONE, basisOf, between, counted, label, percent, shown } from "./words.js";

// Rows beyond this, and those below 1 %, are folded away.
const SHOWN = 6;
const SMALL = 0.01;

/** @param {{sub_dataset, holder, license, basis?, share, low?, high?, quoted?}[]} shares largest first */
export function showShares(shares, unregistered, palette) {
  const large = shares.filter(({ share }, rank) => rank < SHOWN && (share >= SMALL || rank === 0));
  const small = shares.slice(large.length);
  $("bars").replaceChildren(...large.map((share) => row(share, palette)));
  const more = $("small-shares");
  more.hidden = small.length === 0;
  const most = small.length ? Math.max(...small.map(({ share }) => share)) : 0;
  const bound = most < SMALL ? `below ${percent(SMALL)}` : `up to ${percent(most)}`;
  const summary = `${counted(small.length, "other sub-dataset", "others")}, ${bound}`;
  more.querySelector("summary").textContent = summary;
  more.querySelector("ul").replaceChildren(...small.map((share) => row(share, palette)));
  $("bars-apart").replaceChildren(apart(unregistered, palette));
  const explain = ([basis, meaning]) => el("div", {}, el("dt", {}, shown(basis)), el("dd", {}, meaning));
  $("bases").replaceChildren(...Object.entries(BASES).map(explain));
}

function row(share, palette) {
  const { sub_dataset: name, holder, license } = share;
  const rights = [holder, license].filter(Boolean).join(" · ");
  const has = Number.isFinite(share.low) && Number.isFinite(share.high);
  return el(
    "li",
    { class: "bar-row" },
    el("p", { class: "bar-name" }, palette.swatch(name), el("span", {}, name)),
    el("p", { class: "bar-rights" }, el("span", { class: `basis ${basisOf(share)}` }, shown(basisOf(share))), ` ${rights}`),
    bar(share, palette.colour(name), has),
    el(
      "p",
      { class: "bar-figure" },
      el("strong", {}, percent(share.share)),
      has ? el("span", {}, between(share.low, share.high)) : null,
      share.quoted >= LEAST_QUOTED ? el("span", { class: "quoted" }, `${percent(share.quoted)} quoted`) : null,
    ),
  );
}

// The figures beside it say the same: the drawing itself is left out of what is read aloud.
function bar({ share, low, high, quoted = 0 }, colour, has) {
  const track = el("div", { class: `track ${colour}`, "aria-hidden": "true" });
  track.append(vars(el("div", { class: "fill" }), { part: share.toFixed(4) }));
  if (quoted >= LEAST_QUOTED) {
    track.append(vars(el("div", { class: "fill quoted" }), { part: (share * quoted).toFixed(4) }));
  }
  if (has) {
    const part = { low: low.toFixed(4), high: high.toFixed(4) };
    track.append(vars(el("div", { class: "whisker" }), part));
  }
  return track;
}

function apart(unregistered, palette) {
  return el(
    "li",
    { class: "bar-row" },
    el("p", { class: "bar-name" }, palette.swatch(NONE), el("span", {}, label(NONE))),
    el("p", { class: "bar-rights" }, "what no registered sub-dataset accounts for"),
    bar({ share: unregistered }, "none", false),
    el("p", { class: "bar-figure" }, el("strong", {}, percent(unregistered))),
  );
}
