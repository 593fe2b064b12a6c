// @ts-check
/** One photo of the user's: its file, what is wanted of it, and what has become of it. */

import { colorize, Refusal } from "./api.js";
import { Turns } from "./turns.js";

/** @typedef {import("./api.js").Hint} Hint */
/** @typedef {"waiting" | "working" | "done" | "failed"} State */

// The server puts photos that come together into one batch; its queue is for others, too.
const turns = new Turns(3);
const looks = new Turns(2); // decoding a photo takes its pixels' memory
const PAUSE = 250; // milliseconds in which further changes join a request
const TRIES = 6;
const SHOWN = /^image\/(jpeg|png|webp|gif|avif|bmp|svg)/; // by every browser
const SUFFIXES = { "image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp", "image/tiff": ".tiff" };

/** Dispatches "change" whenever something of it does. */
export class Photo extends EventTarget {
  /** @param {File} file */
  constructor(file) {
    super();
    this.file = file;
    /** @type {State} */
    this.state = "waiting";
    this.message = "";
    /** Whether a failure is one for good. */
    this.final = false;
    this.saturation = 1;
    /** That of the picture `after`. */
    this.saturationShown = 1;
    /** @type {Hint[]} */
    this.hints = [];
    /** @type {Hint[][]} earlier ones, for undo */
    this.past = [];
    /** @type {string | null} URL of the photo as it came; null until known, or where no browser shows it */
    this.before = null;
    /** @type {string | null} URL of the photo in color, for the screen */
    this.after = null;
    /** @type {Blob | null} the photo in color, for the disk */
    this.answer = null;
    this.width = 0;
    this.height = 0;
    /** @type {AbortController | null} */
    this.running = null;
    this.timer = 0;
    /** Whether it is on the stage: its turn comes first. */
    this.chosen = false;
    this.gone = false;
  }

  get busy() {
    return this.state === "waiting" || this.state === "working";
  }

  get name() {
    return this.file.name;
  }

  /** What the answer's file is called: the photo's name, with "-color". */
  get downloadName() {
    const [, stem, suffix] = this.name.match(/^(.*?)(\.[^.]*)?$/) ?? [];
    const type = this.answer?.type ?? "";
    const same = type === this.file.type && suffix;
    return `${stem || "photo"}-color${same ? suffix : (Reflect.get(SUFFIXES, type) ?? suffix ?? "")}`;
  }

  /**
   * Show the file, and have it colored.
   * @param {number} pixels that the server takes at most
   */
  async start(pixels) {
    const url = URL.createObjectURL(this.file);
    if (await looks.take(() => this.measure(url), () => this.chosen)) this.before = url;
    else URL.revokeObjectURL(url);
    if (this.gone) return this.discard();
    this.changed();
    const has = this.width * this.height;
    if (has > pixels) {
      const millions = (/** @type {number} */ count) => `${(count / 1e6).toFixed(1)} megapixels`;
      return this.fail(new Refusal(`This photo has ${millions(has)}; the server takes at most ${millions(pixels)}.`, 413));
    }
    await this.color();
  }

  /** @param {Hint[]} hints */
  setHints(hints) {
    this.past.push(this.hints);
    this.hints = hints;
    this.soon();
  }

  undo() {
    const before = this.past.pop();
    if (!before) return;
    this.hints = before;
    this.soon();
  }

  /** @param {number} saturation */
  setSaturation(saturation) {
    this.saturation = saturation;
    this.soon();
  }

  /** Color again once the user pauses; what runs is no longer wanted. */
  soon() {
    if (this.gone) return;
    clearTimeout(this.timer);
    this.running?.abort();
    this.timer = setTimeout(() => this.color(), PAUSE);
    this.become("waiting");
  }

  /** Have it colored as it is wanted now; an earlier request that still runs is given up. */
  async color() {
    if (this.gone) return;
    clearTimeout(this.timer);
    this.running?.abort();
    const running = new AbortController();
    this.running = running;
    this.become("waiting");
    try {
      const work = async () => {
        if (running.signal.aborted) return;
        this.become("working");
        await this.request(running.signal);
      };
      await this.patiently(() => turns.take(work, () => this.chosen), running.signal);
    } catch (error) {
      if (running.signal.aborted) return;
      if (!(error instanceof Refusal)) console.error(error);
      this.fail(error instanceof Refusal ? error : new Refusal("This photo could not be colored."));
    } finally {
      if (this.running === running) this.running = null;
    }
  }

  /** @param {AbortSignal} signal */
  async request(signal) {
    const wanted = { hints: this.hints, saturation: this.saturation };
    const answer = await colorize(this.file, wanted, signal);
    let shown = answer;
    if (!SHOWN.test(answer.type)) shown = await colorize(this.file, { ...wanted, format: "jpeg" }, signal);
    if (!this.before) {
      const gray = await colorize(this.file, { saturation: 0, format: "jpeg" }, signal);
      this.before = URL.createObjectURL(gray);
      await this.measure(this.before);
    }
    const url = URL.createObjectURL(shown);
    await decoded(url);
    if (signal.aborted) return URL.revokeObjectURL(url);
    if (this.after) URL.revokeObjectURL(this.after);
    this.after = url;
    this.saturationShown = wanted.saturation;
    this.answer = answer;
    this.become("done");
  }

  /**
   * Ask again where the server is busy. Others may have the turn in between.
   * @param {() => Promise<void>} work
   * @param {AbortSignal} signal
   */
  async patiently(work, signal) {
    for (let tries = 1; ; tries += 1) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof Refusal) || !error.retryAfter || tries === TRIES || signal.aborted) throw error;
        this.become("waiting", "The server is busy; waiting for a place");
        await new Promise((resolve) => setTimeout(resolve, 1000 * Number(error.retryAfter)));
        if (signal.aborted) throw error;
      }
    }
  }

  /**
   * @param {string} url
   * @returns {Promise<boolean>} whether this browser shows it
   */
  async measure(url) {
    const image = await decoded(url);
    if (image) [this.width, this.height] = [image.naturalWidth, image.naturalHeight];
    return image !== null;
  }

  /** Let go of all that it holds. */
  discard() {
    this.gone = true;
    clearTimeout(this.timer);
    this.running?.abort();
    for (const url of [this.before, this.after]) if (url) URL.revokeObjectURL(url);
  }

  /**
   * @param {State} state
   * @param {string} [message]
   */
  become(state, message = "") {
    this.state = state;
    this.message = message;
    this.changed();
  }

  /** @param {Refusal} refusal */
  fail(refusal) {
    this.final = refusal.final;
    this.become("failed", refusal.message);
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/**
 * @param {string} url
 * @returns {Promise<HTMLImageElement | null>} null where this browser cannot show it
 */
async function decoded(url) {
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
    return image;
  } catch {
    return null;
  }
}
