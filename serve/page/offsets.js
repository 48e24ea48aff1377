// Verdicts count characters as Python does: code points. JavaScript strings count UTF-16 units,
// so everything after the first emoji would be off by one without this.

/** Text that survives JSON and UTF-8: lone halves of a surrogate pair become U+FFFD. */
export function wellFormed(text) {
  return text.replace(/[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]/g, (found) =>
    found.length === 2 ? found : "\ufffd",
  );
}

/** Number of code points. */
export function codePoints(text) {
  let count = text.length;
  for (let i = 0; i < text.length - 1; i += 1) {
    if (isPair(text, i)) {
      count -= 1;
      i += 1;
    }
  }
  return count;
}

/**
 * Code-point offsets -> UTF-16 offsets, in one walk over the text.
 * Offsets past the end become the end, negative ones the beginning.
 * @param {string} text
 * @param {number[]} points any order
 * @returns {Map<number, number>}
 */
export function utf16Offsets(text, points) {
  const found = new Map();
  let unit = 0;
  let point = 0;
  for (const wanted of [...new Set(points)].sort((a, b) => a - b)) {
    while (point < wanted && unit < text.length) {
      unit += isPair(text, unit) ? 2 : 1;
      point += 1;
    }
    found.set(wanted, unit);
  }
  return found;
}

/**
 * The next offset that does not cut through what a reader sees as one character: a flag, a family,
 * a letter with its accents.
 */
export function wholeCharacter(text, offset) {
  if (offset <= 0 || offset >= text.length) return offset;
  // Before U+0300 nothing combines with what stands before it.
  if (text.charCodeAt(offset) < 0x300 && text.charCodeAt(offset - 1) < 0x300) return offset;
  if (!segmenter) return offset;
  const from = Math.max(0, offset - 48);
  // Not from the middle of a pair.
  const start = from > 0 && isPair(text, from - 1) ? from + 1 : from;
  const cluster = segmenter.segment(text.slice(start, offset + 48)).containing(offset - start);
  const begin = start + cluster.index;
  return begin === offset ? offset : begin + cluster.segment.length;
}

const segmenter = "Segmenter" in Intl ? new Intl.Segmenter() : null;

function isPair(text, unit) {
  const high = text.charCodeAt(unit);
  if (high < 0xd800 || high > 0xdbff) return false;
  const low = text.charCodeAt(unit + 1);
  return low >= 0xdc00 && low <= 0xdfff;
}
