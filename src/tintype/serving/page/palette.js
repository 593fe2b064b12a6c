// @ts-check
/** The color with which the next hint is set: some that photographs often want, or any. */

import { element } from "./dom.js";

const COLORS = {
  skin: "#d9a583",
  hair: "#6f4a2f",
  wood: "#9c6b3f",
  brick: "#a8503a",
  red: "#c0392b",
  straw: "#d8b56a",
  grass: "#6f9a45",
  leaf: "#3f6b3a",
  sky: "#7fb0dc",
  denim: "#34568b",
  plum: "#7d4a7c",
  gray: "#8a8a8a",
};

/** Dispatches "pick" when another color is. */
export class Palette extends EventTarget {
  constructor() {
    super();
    this.color = COLORS.sky;
    this.own = element("input", { type: "color", value: "#e08a3c", className: "own", title: "Any color" });
    this.own.setAttribute("aria-label", "Any color");
    this.swatches = Object.entries(COLORS).map(([name, color]) => {
      const swatch = element("button", { type: "button", className: "swatch", title: name, "data-color": color });
      swatch.setAttribute("aria-label", name);
      swatch.style.setProperty("--color", color);
      swatch.addEventListener("click", () => this.pick(color));
      return swatch;
    });
    this.own.addEventListener("input", () => this.pick(this.own.value));
    this.own.addEventListener("click", () => this.show(this.own.value));
    this.node = element("div", { className: "palette", role: "group", "aria-label": "Color" }, ...this.swatches, this.own);
    this.show(this.color);
  }

  /** @param {string} color */
  pick(color) {
    this.show(color);
    this.dispatchEvent(new Event("pick"));
  }

  /** @param {string} color */
  show(color) {
    this.color = color;
    let known = false;
    for (const swatch of this.swatches) {
      const is = swatch.dataset.color === color;
      known ||= is;
      swatch.setAttribute("aria-pressed", String(is));
    }
    if (!known) this.own.value = color;
    this.own.classList.toggle("chosen", !known);
  }
}
