// @ts-check
/** Before on the left, after on the right, and a line between them that pointer and keys move. */

import { calm, clamp, element, icon } from "./dom.js";

const STEP = 2;
const LEAP = 10;

export class Slider {
  /** @param {HTMLElement} frame which holds both pictures, and whose style gets --split, in percent */
  constructor(frame) {
    this.frame = frame;
    this.at = 50;
    this.handle = element(
      "div",
      {
        className: "handle",
        role: "slider",
        tabIndex: 0,
        "aria-label": "Before and after",
        "aria-orientation": "horizontal",
        "aria-valuemin": 0,
        "aria-valuemax": 100,
      },
      element("span", { className: "grip" }, icon("compare")),
    );
    frame.append(this.handle);
    this.handle.addEventListener("keydown", (event) => this.key(event));
    frame.addEventListener("pointerdown", (event) => this.grab(event));
    this.set(50);
  }

  /** @param {boolean} on */
  enable(on) {
    this.on = on;
    this.handle.hidden = !on;
  }

  /** @param {number} percent of the width that shows the photo as it was */
  set(percent) {
    this.at = clamp(percent, 0, 100);
    this.frame.style.setProperty("--split", `${this.at}%`);
    this.frame.classList.toggle("mostly-before", this.at > 84);
    this.frame.classList.toggle("mostly-after", this.at < 16);
    this.handle.setAttribute("aria-valuenow", String(Math.round(this.at)));
    this.handle.setAttribute("aria-valuetext", `${Math.round(this.at)} % before, ${Math.round(100 - this.at)} % after`);
  }

  /** Draw the line across the photo, and let it come to rest in the middle. */
  reveal() {
    if (calm.matches) return this.set(50);
    const start = performance.now();
    const moving = (this.moving = Symbol("reveal"));
    const step = (/** @type {number} */ now) => {
      if (this.moving !== moving) return;
      const t = clamp((now - start) / 1100, 0, 1);
      this.set(100 - 50 * (1 - (1 - t) ** 3));
      if (t < 1) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  /** @param {PointerEvent} event */
  grab(event) {
    if (!this.on || event.button !== 0) return;
    this.moving = undefined;
    const follow = (/** @type {PointerEvent} */ { clientX }) => {
      const { left, width } = this.frame.getBoundingClientRect();
      this.set((100 * (clientX - left)) / width);
    };
    const release = () => {
      this.frame.removeEventListener("pointermove", follow);
      this.frame.classList.remove("held");
    };
    this.frame.setPointerCapture(event.pointerId);
    this.frame.classList.add("held");
    this.frame.addEventListener("pointermove", follow);
    for (const end of ["pointerup", "pointercancel"]) this.frame.addEventListener(end, release, { once: true });
    this.handle.focus({ preventScroll: true });
    event.preventDefault();
    follow(event);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const step = event.shiftKey ? LEAP : STEP;
    const to = {
      ArrowLeft: this.at - step,
      ArrowDown: this.at - step,
      ArrowRight: this.at + step,
      ArrowUp: this.at + step,
      PageDown: this.at - LEAP,
      PageUp: this.at + LEAP,
      Home: 0,
      End: 100,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.moving = undefined;
    this.set(to);
  }
}
