// What figures are called. Statements about p-values are made here and nowhere else.

const SPACE = "\u00a0";

export const percent = (value) => {
  if (value > 0 && value < 0.005) return `<${SPACE}1${SPACE}%`;
  if (value < 1 && value >= 0.995) return `>${SPACE}99${SPACE}%`;
  return `${Math.round(100 * value)}${SPACE}%`;
};

/** A range; both ends of one are rounded alike. */
export const between = (low, high) =>
  `${Math.round(100 * low)} to ${Math.round(100 * high)}${SPACE}%`;

export const whole = (value) => value.toLocaleString("en-US");

export const counted = (count, one, many) => `${whole(count)} ${count === 1 ? one : many}`;

/** The name of what no sub-dataset accounts for, wherever it stands among them. */
export const NONE = "";

export const label = (name) => (name === NONE ? "None of them" : name);

const DECISIONS = {
  registered: {
    title: "Draws on registered sub-datasets",
    note: "Most of it is accounted for by registered sub-datasets, and one of them stands out.",
  },
  unregistered: {
    title: "Draws on none of the registered sub-datasets",
    note: "At least half of it is accounted for by none of them, and texts that do come from them hardly ever look like this one.",
  },
  abstain: {
    title: "Cannot tell",
    note: "Neither a sub-dataset nor “none of them” is sure enough to be named.",
  },
};

/** @param {?string} reason why it is `abstain`, in the service's words */
export function decision(name, reason = null) {
  const known = DECISIONS[name] ?? { title: name, note: "" };
  return name === "abstain" && reason ? { ...known, note: sentence(reason) } : known;
}

const sentence = (words) => `${words[0].toUpperCase()}${words.slice(1)}${words.endsWith(".") ? "" : "."}`;

/**
 * A conformal p-value as a count: of the texts that do come from registered sub-datasets, how many
 * look as strange as this one or stranger. It is no probability that the text is registered.
 * @returns {{count: number, of: number, words: string}}
 */
export function odds(p) {
  const texts = "texts that do come from registered sub-datasets";
  const look = (count) => `${count === 1 ? "looks" : "look"} this strange or stranger`;
  if (p >= 0.995) return { count: 100, of: 100, words: `Nearly all ${texts} ${look(2)}.` };
  const of = p < 0.01 ? 1000 : 100;
  const count = Math.round(p * of);
  if (count === 0) return { count, of, words: `Fewer than 1 of 1,000 ${texts} ${look(1)}.` };
  return { count, of, words: `About ${count} of ${whole(of)} ${texts} ${look(count)}.` };
}

export function oddsNote(p, alpha) {
  const level = alpha ? ` Only below ${alpha}, and with at least half of the text, “none of them” is the decision.` : "";
  return `p = ${p.toPrecision(2)}. A small number speaks against a registered source; a large one does not prove one.${level}`;
}

/** The headline below the decision: whom the text resembles most. */
export function leader(shares) {
  const top = shares[0];
  if (!top) return "";
  const trained = basisOf(top) === "trained_on" ? " An audit found that the LM was trained on it." : "";
  const quoted = top.quoted >= LEAST_QUOTED ? ` Of that ${percent(top.quoted)} is quoted.` : "";
  return `Most of all it draws on ${top.sub_dataset} (${top.holder}): ${percent(top.share)} of it, interval ${between(top.low, top.high)}.${quoted}${trained}`;
}

/** Below it nothing is said of what is quoted of a share. */
export const LEAST_QUOTED = 0.005;

/** What a share rests on; the keys are those of the API. */
export const BASES = {
  trained_on: "an audit found that the LM was trained on this sub-dataset",
  resemblance: "no audit found that; the text is like the sub-dataset, and more is not said",
};

export const basisOf = ({ basis }) => (basis in BASES ? basis : "resemblance");

/** A basis as the page shows it: `trained_on` without the underscore. */
export const shown = (basis) => basis.replace("_", " ");

export const POLICY = { allow: "Policy: allowed", flag: "Policy: flagged", block: "Policy: blocked" };

/** Why the policy decided so, where the service does not put it into words. */
export function ruling({ action, rule, sub_dataset: from, share }) {
  if (!rule) return "No rule applies to this text.";
  const does = { flag: "flags", block: "blocks" }[action] ?? "allows";
  const much = Number.isFinite(share) ? ` at a share of ${percent(share)}` : "";
  return `The rule “${rule}” ${does} it${from ? ` because of ${from}` : ""}${much}.`;
}

/** `A 81 %, B 12 %`, largest first; what rounds to nothing is left out. */
export function mix(shares, name = (key) => key) {
  return Object.entries(shares)
    .filter(([, share]) => share >= 0.005)
    .sort(([, a], [, b]) => b - a)
    .slice(0, 3)
    .map(([key, share]) => `${name(key)} ${percent(share)}`)
    .join(", ");
}
