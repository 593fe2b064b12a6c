// @ts-check
/** The chosen photo, large, and what can be done with it. */

import { element, icon, save } from "./dom.js";
import { HintLayer } from "./hints.js";
import { Palette } from "./palette.js";
import { Slider } from "./slider.js";

/** @typedef {import("./photo.js").Photo} Photo */
/** @typedef {"compare" | "hints"} Tool */

export class Stage {
  /**
   * @param {HTMLElement} node
   * @param {(photo: Photo) => void} onRemove
   */
  constructor(node, onRemove) {
    this.node = node;
    /** @type {Photo | null} */
    this.photo = null;
    /** @type {Tool} */
    this.tool = "compare";
    /** @type {WeakSet<Photo>} those whose colors have been revealed */
    this.seen = new WeakSet();
    this.palette = new Palette();

    this.before = element("img", { className: "before", alt: "", draggable: false });
    this.after = element("img", { className: "after", alt: "", draggable: false });
    this.note = element("p", { className: "note" });
    this.again = element("button", { type: "button", className: "plain retry" }, icon("retry"), "Try again");
    this.trouble = element("div", { className: "trouble", role: "alert" }, this.note, this.again);
    this.doing = element("p", { className: "doing" }, element("span", { className: "spinner" }), element("span"));
    this.frame = element("div", { className: "frame" }, this.after, this.before);
    this.tags = element(
      "div",
      { className: "tags", "aria-hidden": "true" },
      element("span", { className: "tag" }, "Before"),
      element("span", { className: "tag" }, "After"),
    );
    this.frame.append(this.tags);
    this.slider = new Slider(this.frame);
    this.hints = new HintLayer(this.frame, this.palette);
    this.tip = element("p", { className: "tip", role: "status" });
    this.frame.append(element("div", { className: "progress" }), this.tip, this.doing, this.trouble);

    this.compareTool = tool("Compare", "compare");
    this.hintsTool = tool("Color hints", "drop");
    this.amount = element("input", { type: "range", min: "0", max: "2", step: "0.05", value: "1", id: "saturation" });
    this.amountOut = element("output", { htmlFor: "saturation" });
    this.undo = element("button", { type: "button", className: "plain" }, icon("undo"), "Undo");
    this.clear = element("button", { type: "button", className: "plain" }, "Clear");
    this.download = element("button", { type: "button", className: "solid" }, icon("download"), "Download");
    this.remove = element("button", { type: "button", className: "plain square", title: "Remove this photo" }, icon("remove"));
    this.remove.setAttribute("aria-label", "Remove this photo");
    this.caption = element("h2", { className: "caption" });
    this.comparing = element(
      "label",
      { className: "row amount" },
      element("span", {}, "Strength of color"),
      this.amount,
      this.amountOut,
    );
    this.painting = element(
      "div",
      { className: "row" },
      this.palette.node,
      element("div", { className: "row-side" }, this.undo, this.clear),
    );
    this.tools = element(
      "div",
      { className: "tools" },
      element("div", { className: "segments", role: "group", "aria-label": "Tool" }, this.compareTool, this.hintsTool),
      this.comparing,
      this.painting,
      this.download,
    );
    node.append(element("div", { className: "heading" }, this.caption, this.remove), this.frame, this.tools);

    this.compareTool.addEventListener("click", () => this.use("compare"));
    this.hintsTool.addEventListener("click", () => this.use("hints"));
    this.amount.addEventListener("input", () => this.preview());
    this.amount.addEventListener("change", () => this.photo?.setSaturation(Number(this.amount.value)));
    this.undo.addEventListener("click", () => this.photo?.undo());
    this.clear.addEventListener("click", () => this.photo?.setHints([]));
    this.download.addEventListener("click", () => {
      if (this.photo?.answer && !this.photo.busy) save(this.photo.answer, this.photo.downloadName);
    });
    this.again.addEventListener("click", () => this.photo?.color());
    this.remove.addEventListener("click", () => this.photo && onRemove(this.photo));
    document.addEventListener("keydown", (event) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && this.tool === "hints") {
        event.preventDefault();
        this.photo?.undo();
      }
    });
    this.update = this.update.bind(this);
  }

  /** @param {Photo | null} photo */
  show(photo) {
    if (photo === this.photo) return;
    if (this.photo) {
      this.photo.removeEventListener("change", this.update);
      this.photo.chosen = false;
    }
    this.photo = photo;
    if (!photo) return this.hints.show(null);
    photo.chosen = true;
    photo.addEventListener("change", this.update);
    this.slider.set(50);
    this.amount.value = String(photo.saturation);
    this.update();
  }

  /** @param {Tool} name */
  use(name) {
    this.tool = name;
    this.update();
  }

  update() {
    const photo = this.photo;
    if (!photo) return;
    const { busy, state } = photo;
    const colored = photo.after !== null;
    const hinting = this.tool === "hints" && colored;
    const failed = photo.state === "failed";

    const is = { busy, done: state === "done", failed, colored, blank: !photo.before, hinting };
    for (const [name, on] of Object.entries(is)) this.frame.classList.toggle(name, on); // it has the slider's classes, too
    this.node.style.setProperty("--aspect", String(photo.width && photo.height ? photo.width / photo.height : 16 / 9));
    this.node.style.setProperty("--natural", `${photo.width || 240}px`);
    picture(this.before, photo.before, `${photo.name}, as it was`);
    picture(this.after, photo.after, `${photo.name}, in color`);
    this.before.hidden ||= hinting;
    this.tags.hidden = !colored || hinting;
    this.slider.enable(colored && !hinting);
    if (colored && !this.seen.has(photo)) {
      this.seen.add(photo);
      this.slider.reveal();
    }
    this.hints.node.hidden = !hinting;
    this.hints.show(photo);

    this.trouble.hidden = !failed;
    const note = failed ? photo.message + (colored ? " The download is the earlier result." : "") : "";
    if (this.note.textContent !== note) this.note.textContent = note;
    this.again.hidden = photo.final;
    this.doing.hidden = !busy || colored;
    this.doing.children[1].textContent = photo.message || (state === "waiting" ? "Waiting" : "Coloring");

    this.compareTool.setAttribute("aria-pressed", String(!hinting));
    this.hintsTool.setAttribute("aria-pressed", String(hinting));
    for (const button of [this.compareTool, this.hintsTool, this.amount]) button.disabled = !colored;
    this.tools.hidden = failed && !colored;
    this.painting.hidden = !hinting;
    this.comparing.hidden = hinting;
    const full = photo.hints.length >= this.hints.limit;
    this.tip.hidden = !hinting || failed || (photo.hints.length > 0 && !full);
    const tip = full
      ? `No more hints: this server takes ${this.hints.limit} a photo`
      : "Pick a color below, then the spot where it belongs";
    if (this.tip.textContent !== tip) this.tip.textContent = tip; // said again, it would be read out again
    this.undo.disabled = photo.past.length === 0;
    this.clear.disabled = photo.hints.length === 0;
    if (document.activeElement !== this.amount) this.amount.value = String(photo.saturation);
    this.preview();
    const ready = !busy && photo.answer !== null;
    this.download.classList.toggle("off", !ready);
    this.download.setAttribute("aria-disabled", String(!ready)); // disabled, it would lose the focus
    const size = photo.width ? `${photo.width} × ${photo.height}` : "";
    this.caption.replaceChildren(element("strong", {}, photo.name), size && element("span", {}, size));
  }

  /** Show what the saturation will do, about, until the server has done it. */
  preview() {
    const wanted = Number(this.amount.value);
    const has = this.photo?.saturationShown || 1;
    this.amountOut.textContent = `${Math.round(100 * wanted)} %`;
    this.amount.setAttribute("aria-valuetext", this.amountOut.textContent);
    this.after.style.filter = wanted === has ? "" : `saturate(${wanted / has})`;
  }
}

/**
 * @param {HTMLImageElement} image
 * @param {string | null} url
 * @param {string} alt
 */
function picture(image, url, alt) {
  image.hidden = url === null;
  image.alt = alt;
  if (url !== null && image.getAttribute("src") !== url) image.src = url;
  if (url === null) image.removeAttribute("src");
}

/**
 * @param {string} label
 * @param {string} symbol
 */
function tool(label, symbol) {
  return element("button", { type: "button", className: "segment" }, icon(symbol), label);
}
