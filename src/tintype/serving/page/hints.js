// @ts-check
/** Markers on the photo: spots to which the user has given a color. */

import { clamp, element } from "./dom.js";

/** @typedef {import("./api.js").Hint} Hint */
/** @typedef {import("./photo.js").Photo} Photo */
/** @typedef {import("./palette.js").Palette} Palette */

const STEP = 0.01;
const LEAP = 0.05;
const EDGE = 0.08; // of the photo, near which the cross beside a marker would be cut off
const DRAG = 4; // pixels before a press becomes a drag

/** Click: set a hint. Drag a marker: move it. Arrow keys and Enter, or Delete on a marker: the same without a pointer. */
export class HintLayer {
  /**
   * @param {HTMLElement} frame that lies over the photo, as large
   * @param {Palette} palette
   */
  constructor(frame, palette) {
    this.palette = palette;
    /** @type {Photo | null} */
    this.photo = null;
    /** @type {number | null} index of the marker whose color the palette changes */
    this.selected = null;
    /** @type {number | null} index of the marker that is being dragged */
    this.held = null;
    /** How many hints a photo may have. */
    this.limit = Infinity;
    this.cross = { x: 0.5, y: 0.5 };
    this.crossNode = element("span", { className: "cross" });
    this.markers = element("div", { className: "markers" });
    this.node = element(
      "div",
      {
        className: "hints",
        tabIndex: 0,
        role: "application",
        "aria-label": "Color hints. Arrow keys move the cross, Enter sets a hint of the chosen color.",
      },
      this.markers,
      this.crossNode,
    );
    frame.append(this.node);
    this.node.addEventListener("pointerdown", (event) => this.press(event));
    this.node.addEventListener("keydown", (event) => this.key(event));
    palette.addEventListener("pick", () => this.recolor());
    this.moveCross(0.5, 0.5);
  }

  /** @param {Photo | null} photo */
  show(photo) {
    const hints = photo?.hints ?? [];
    if (photo !== this.photo) this.selected = this.held = null;
    this.photo = photo;
    if (this.selected !== null && this.selected >= hints.length) this.selected = null;
    if (this.held !== null && this.held >= hints.length) this.held = null;
    this.draw(hints);
  }

  /**
   * Markers stay the nodes they are, or one that is being dragged would be torn from the pointer.
   * @param {Hint[]} hints
   */
  draw(hints) {
    const nodes = /** @type {HTMLButtonElement[]} */ ([...this.markers.children]);
    const focused = nodes.findIndex((node) => node === document.activeElement);
    for (const node of nodes.splice(hints.length)) node.remove();
    while (nodes.length < hints.length) nodes.push(this.marker(nodes.length));
    nodes.forEach((node, index) => this.dress(node, hints[index], index));
    if (focused >= hints.length) (nodes.at(-1) ?? this.node).focus({ preventScroll: true });
  }

  /**
   * @param {HTMLElement} marker
   * @param {Hint} hint
   * @param {number} index
   */
  dress(marker, hint, index) {
    const selected = index === this.selected;
    if (index !== this.held) place(marker, hint);
    marker.style.setProperty("--color", hint.color);
    marker.setAttribute("aria-label", `Hint ${index + 1}, ${hint.color}. Arrow keys move it, Delete removes it.`);
    marker.setAttribute("aria-pressed", String(selected));
    marker.classList.toggle("selected", selected);
    marker.classList.toggle("at-top", hint.y < EDGE);
    marker.classList.toggle("at-right", hint.x > 1 - EDGE);
    /** @type {HTMLElement} */ (marker.firstElementChild).hidden = !selected;
  }

  /** @param {number} index */
  marker(index) {
    const remove = element("span", { className: "marker-remove", title: "Remove" });
    remove.addEventListener("pointerdown", (event) => {
      event.stopPropagation();
      event.preventDefault();
      this.remove(index);
    });
    const marker = element("button", { type: "button", className: "marker" }, remove);
    this.markers.append(marker);
    marker.addEventListener("pointerdown", (event) => this.grab(event, marker, index));
    marker.addEventListener("keydown", (event) => this.markerKey(event, index));
    marker.addEventListener("click", (event) => {
      if (event.detail === 0) this.select(index); // by Enter or Space; pointers have been through `grab`
    });
    return marker;
  }

  /** @param {PointerEvent} event */
  press(event) {
    if (event.button !== 0 || !this.photo || event.target !== this.node) return;
    const down = this.spot(event);
    const release = (/** @type {PointerEvent} */ up) => {
      this.node.removeEventListener("pointercancel", forget);
      const moved = Math.hypot(up.clientX - event.clientX, up.clientY - event.clientY);
      if (moved <= 2 * DRAG) this.add(down.x, down.y);
    };
    const forget = () => this.node.removeEventListener("pointerup", release); // the finger scrolls the page
    this.node.addEventListener("pointerup", release, { once: true });
    this.node.addEventListener("pointercancel", forget, { once: true });
  }

  /**
   * @param {PointerEvent} event
   * @param {HTMLElement} marker
   * @param {number} index
   */
  grab(event, marker, index) {
    if (event.button !== 0) return;
    event.stopPropagation();
    /** @type {{x: number, y: number} | null} */
    let to = null;
    this.held = index;
    const follow = (/** @type {PointerEvent} */ move) => {
      if (this.held !== index) return; // it was removed by the keyboard
      if (!to && Math.hypot(move.clientX - event.clientX, move.clientY - event.clientY) < DRAG) return;
      to = this.spot(move);
      place(marker, to);
    };
    const release = () => {
      marker.removeEventListener("pointermove", follow);
      if (this.held !== index) return;
      this.held = null;
      if (to) this.change(index, to);
      this.select(index);
    };
    marker.setPointerCapture(event.pointerId);
    marker.addEventListener("pointermove", follow);
    marker.addEventListener("lostpointercapture", release, { once: true });
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.target !== this.node) return;
    const way = arrows(event);
    if (way) this.moveCross(this.cross.x + way.x, this.cross.y + way.y);
    else if (event.key === "Enter" || event.key === " ") this.add(this.cross.x, this.cross.y);
    else if (event.key === "Escape") this.select(null);
    else return;
    event.preventDefault();
  }

  /**
   * @param {KeyboardEvent} event
   * @param {number} index
   */
  markerKey(event, index) {
    const hint = this.photo?.hints[index];
    if (!hint) return;
    const way = arrows(event);
    if (way) this.change(index, { x: share(hint.x + way.x), y: share(hint.y + way.y) });
    else if (event.key === "Delete" || event.key === "Backspace") this.remove(index);
    else if (event.key === "Escape") this.select(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {number} x @param {number} y */
  add(x, y) {
    if (!this.photo || this.photo.hints.length >= this.limit) return;
    this.selected = this.photo.hints.length;
    this.moveCross(x, y);
    this.photo.setHints([...this.photo.hints, { x, y, color: this.palette.color }]);
  }

  /**
   * @param {number} index
   * @param {Partial<Hint>} to
   */
  change(index, to) {
    if (!this.photo) return;
    this.photo.setHints(this.photo.hints.map((hint, at) => (at === index ? { ...hint, ...to } : hint)));
  }

  /** @param {number} index */
  remove(index) {
    this.selected = null;
    this.photo?.setHints(this.photo.hints.filter((_, at) => at !== index));
  }

  /** @param {number | null} index */
  select(index) {
    this.selected = index;
    if (!this.photo) return;
    if (index !== null) this.palette.show(this.photo.hints[index].color);
    this.draw(this.photo.hints);
  }

  recolor() {
    if (this.selected !== null && this.photo?.hints[this.selected]) {
      this.change(this.selected, { color: this.palette.color });
    }
  }

  /** @param {number} x @param {number} y */
  moveCross(x, y) {
    this.cross = { x: share(x), y: share(y) };
    place(this.crossNode, this.cross);
  }

  /** @param {PointerEvent} event */
  spot({ clientX, clientY }) {
    const { left, top, width, height } = this.node.getBoundingClientRect();
    return { x: share((clientX - left) / width), y: share((clientY - top) / height) };
  }
}

/**
 * @param {HTMLElement} node
 * @param {{x: number, y: number}} spot
 */
function place(node, { x, y }) {
  node.style.setProperty("--x", `${(100 * x).toFixed(2)}%`);
  node.style.setProperty("--y", `${(100 * y).toFixed(2)}%`);
}

/** @param {number} value @returns {number} in [0, 1], as exact as any pointer */
function share(value) {
  return clamp(Math.round(1e4 * value) / 1e4, 0, 1);
}

/** @param {KeyboardEvent} event */
function arrows({ key, shiftKey }) {
  const step = shiftKey ? LEAP : STEP;
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
  return way && { x: way[0] * step, y: way[1] * step };
}
