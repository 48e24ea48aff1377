// Talking to the service. Addresses are relative to the page, so that any prefix works.

const KEY = "copylens-key";

/** What went wrong, in one line that can be shown. */
export class ServiceError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// sessionStorage: the key is gone with the tab. Where it is off, the key lives as long as the page.
let held = null;
try {
  held = sessionStorage.getItem(KEY);
} catch {
  held = null;
}

export function useKey(key) {
  held = key;
  try {
    sessionStorage.setItem(KEY, key);
  } catch {
    // Private windows may refuse; `held` is enough.
  }
}

export const registry = async () => content(await call("v1/registry"));

export const attribute = async (text) =>
  content(await call("v1/attribute", { text, timeline: true, evidence: true }));

async function content(response) {
  try {
    return await response.json();
  } catch {
    throw new ServiceError(0, "The service sent no readable answer. Is a proxy in between?");
  }
}

/** Lets the LM write; yields `{event, data}` as they come. */
export async function* generate(prompt, maxTokens, signal) {
  const response = await call("v1/generate", { prompt, max_tokens: maxTokens }, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { done, value } = await reader.read().catch((problem) => {
      if (signal.aborted) return { done: true };
      throw new ServiceError(0, `The service broke off while it wrote (${problem.message}).`);
    });
    buffer += done ? "\n\n" : value;
    const blocks = buffer.split(/\r\n\r\n|\n\n/);
    buffer = blocks.pop();
    for (const block of blocks) {
      const event = parseEvent(block);
      if (event) yield event;
    }
    if (done) return;
  }
}

/** One server-sent event; null for comments, which only keep the line open. */
export function parseEvent(block) {
  let event = "message";
  const data = [];
  for (const line of block.split(/\r\n|\n|\r/)) {
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") event = value;
    if (field === "data") data.push(value);
  }
  return data.length ? { event, data: JSON.parse(data.join("\n")) } : null;
}

const keyHeader = () => (held ? { authorization: `Bearer ${held}` } : {});

async function call(path, body, signal) {
  const headers = keyHeader();
  if (body) headers["content-type"] = "application/json";
  const options = { headers, signal };
  if (body) Object.assign(options, { method: "POST", body: JSON.stringify(body) });
  let response;
  try {
    response = await fetch(path, options);
  } catch (problem) {
    if (signal?.aborted) throw problem;
    throw new ServiceError(0, "The service does not answer. Is it running, and are you online?");
  }
  if (response.ok) return response;
  throw new ServiceError(response.status, await explain(response));
}

async function explain(response) {
  const fallback = `The service answered ${response.status} ${response.statusText}.`.replace(" .", ".");
  let body;
  try {
    body = await response.json();
  } catch {
    return fallback;
  }
  return errorLine(body.error) || fallback;
}

/** `{"message", "limit", "hint"}` as one line. */
export function errorLine(error) {
  const limit = Number.isFinite(error?.limit) ? ` (limit ${error.limit.toLocaleString("en-US")})` : "";
  const message = error?.message ? error.message + limit : null;
  const parts = [message, error?.hint].filter((part) => typeof part === "string" && part);
  const sentences = parts.map((part) => part.trim().replace(/\s+/g, " "));
  return sentences
    .map((part) => part[0].toUpperCase() + part.slice(1))
    .map((part) => (/[.!?]$/.test(part) ? part : `${part}.`))
    .join(" ");
}
