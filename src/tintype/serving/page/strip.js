// @ts-check
/** All photos, small, each with how it is getting on. */

import { element, icon } from "./dom.js";

/** @typedef {import("./photo.js").Photo} Photo */

const TOLD = { waiting: "waiting", working: "being colored", done: "in color", failed: "failed" };

export class Strip {
  /**
   * @param {HTMLElement} list
   * @param {(photo: Photo) => void} onChoose
   */
  constructor(list, onChoose) {
    this.list = list;
    this.onChoose = onChoose;
    /** @type {Map<Photo, HTMLElement>} */
    this.items = new Map();
  }

  /** @param {Photo} photo */
  add(photo) {
    const image = element("img", { alt: "", draggable: false });
    const badge = element("span", { className: "badge" });
    const button = element("button", { type: "button", className: "thumb" }, image, badge);
    const item = element("li", {}, button);
    const update = () => {
      const url = photo.after ?? photo.before;
      image.hidden = !url;
      if (url && image.getAttribute("src") !== url) image.src = url;
      button.className = `thumb ${photo.state}`;
      button.title = photo.name;
      button.setAttribute("aria-label", `${photo.name}, ${TOLD[photo.state]}`);
      badge.replaceChildren(...(photo.state === "failed" ? ["!"] : photo.state === "done" ? [icon("done")] : []));
    };
    photo.addEventListener("change", update);
    button.addEventListener("click", () => this.onChoose(photo));
    this.items.set(photo, item);
    this.list.append(item);
    update();
  }

  /** @param {Photo} photo */
  remove(photo) {
    this.items.get(photo)?.remove();
    this.items.delete(photo);
  }

  /** @param {Photo} photo */
  choose(photo) {
    for (const [one, item] of this.items) {
      const button = item.firstElementChild;
      if (one === photo) {
        button?.setAttribute("aria-current", "true");
        item.scrollIntoView({ block: "nearest", inline: "nearest" });
      } else button?.removeAttribute("aria-current");
    }
  }
}
