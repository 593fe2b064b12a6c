// @ts-check
/** The HTTP API, as openapi.json describes it. All paths are relative: a proxy may put one before them. */

/**
 * @typedef {{x: number, y: number, color: string}} Hint  A spot, in shares of the photo's sides, and its #rrggbb.
 * @typedef {{hints?: Hint[], saturation?: number, format?: string}} Options
 * @typedef {{name: string, description: string, limitations: string, metrics: Record<string, number>, image_size: number,
 *   limits: {bytes: number, pixels: number, hints: number, formats: string[]}}} Model
 * @typedef {{name: string, url: string, credit: string}} Example
 */

const RETRY = 2; // seconds, where a busy server, or a proxy before it, names none

/** What the server, or the way to it, says in place of a photo. */
export class Refusal extends Error {
  /**
   * @param {string} message
   * @param {number} [status] HTTP's; 0 where there was no answer
   * @param {number} [retryAfter] the server's Retry-After, in seconds
   */
  constructor(message, status = 0, retryAfter) {
    super(message);
    /** Seconds after which it may go better; undefined where asking again is no use. */
    this.retryAfter = [429, 503].includes(status) ? (retryAfter ?? RETRY) : undefined;
    /** Whether the same photo will be refused again. */
    this.final = status >= 400 && status < 500 && ![408, 429].includes(status);
  }
}

/**
 * @param {File} photo
 * @param {Options} options
 * @param {AbortSignal} signal
 * @returns {Promise<Blob>} the photo in color, at its full size
 * @throws {Refusal}
 */
export async function colorize(photo, { hints = [], saturation = 1, format = "same" }, signal) {
  const form = new FormData();
  form.append("photo", photo, photo.name || "photo");
  form.append("hints", JSON.stringify(hints.map(({ x, y, color }) => ({ x, y, color }))));
  form.append("saturation", String(saturation));
  form.append("format", format);
  const answer = await ask("api/colorize", { method: "POST", body: form, signal });
  return answer.blob();
}

/** @returns {Promise<Model>} */
export async function model() {
  return (await ask("api/model")).json();
}

/** @returns {Promise<Example[]>} */
export async function examples() {
  return (await ask("api/examples")).json();
}

/**
 * @param {Example} example
 * @returns {Promise<File>}
 */
export async function exampleFile(example) {
  const blob = await (await ask(example.url)).blob();
  return new File([blob], decodeURIComponent(example.url.split("/").pop() ?? example.name), { type: blob.type });
}

/**
 * @param {string} path
 * @param {RequestInit} [request]
 */
async function ask(path, request) {
  let answer;
  try {
    answer = await fetch(path, request);
  } catch (error) {
    if (request?.signal?.aborted) throw error;
    throw new Refusal("The server cannot be reached. Is it still running?");
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => null);
  const seconds = Number(answer.headers.get("Retry-After"));
  throw new Refusal(sentence(said?.error?.message ?? `The server answered ${answer.status}.`), answer.status, seconds || undefined);
}

/** @param {string} text */
function sentence(text) {
  const ended = /[.!?]$/.test(text) ? text : `${text}.`;
  return ended[0].toUpperCase() + ended.slice(1);
}
