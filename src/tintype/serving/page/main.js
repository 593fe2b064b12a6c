// @ts-check
/** The page: photos come in, one of them is on the stage. */

import { exampleFile, examples, model, Refusal } from "./api.js";
import { byId, element } from "./dom.js";
import { takeFiles } from "./intake.js";
import { showModel } from "./model.js";
import { Photo } from "./photo.js";
import { Stage } from "./stage.js";
import { Strip } from "./strip.js";

const LOCAL = /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/;

/** @type {Photo[]} */
const photos = [];
/** @type {import("./api.js").Model | null} */
let known = null;
const stage = new Stage(byId("stage"), remove);
const downloadAll = /** @type {HTMLButtonElement} */ (byId("download-all"));
const strip = new Strip(byId("strip"), choose);

/** @param {File[]} files */
function take(files) {
  const added = files.map((file) => new Photo(file));
  for (const photo of added) {
    photos.push(photo);
    strip.add(photo);
    photo.addEventListener("change", () => tell(photo));
    const limit = known?.limits.bytes ?? Infinity;
    if (photo.file.size > limit) photo.fail(tooLarge(photo.file.size, limit));
    else photo.start();
  }
  arrange();
  if (added.length) {
    choose(added[0]);
    stage.node.focus({ preventScroll: true });
  }
}

/** @param {Photo} photo */
function choose(photo) {
  stage.show(photo);
  strip.choose(photo);
}

/** @param {Photo} photo */
function remove(photo) {
  const at = photos.indexOf(photo);
  photos.splice(at, 1);
  strip.remove(photo);
  photo.discard();
  arrange();
  if (photos.length) choose(photos[Math.min(at, photos.length - 1)]);
  else /** @type {HTMLElement} */ (document.querySelector(".well")).focus();
}

function arrange() {
  document.body.classList.toggle("empty", photos.length === 0);
  byId("welcome").hidden = photos.length > 0;
  byId("work").hidden = photos.length === 0;
  byId("several").hidden = photos.length < 2;
}

/** @param {Photo} photo */
function tell(photo) {
  downloadAll.disabled = photos.some((one) => one.state === "waiting" || one.state === "working");
  if (photo.state === "done") byId("status").textContent = `${photo.name} is in colour`;
}

async function saveAll() {
  for (const { answer, downloadName } of photos) {
    if (!answer) continue;
    const url = URL.createObjectURL(answer);
    element("a", { href: url, download: downloadName }).click();
    await new Promise((resolve) => setTimeout(resolve, 250)); // browsers drop downloads that come at once
    URL.revokeObjectURL(url);
  }
}

/** @param {number} size @param {number} limit */
function tooLarge(size, limit) {
  const megabytes = (/** @type {number} */ bytes) => `${(bytes / 2 ** 20).toFixed(0)} MB`;
  return new Refusal(`This file has ${megabytes(size)}; the server takes at most ${megabytes(limit)}.`, 413);
}

/** @param {import("./api.js").Example} example */
function exampleItem(example) {
  const image = element("img", { src: example.url, alt: "", width: 200, height: 150, draggable: false });
  const button = element("button", { type: "button", title: example.credit }, image, element("span", {}, example.name));
  button.addEventListener("click", async () => take([await exampleFile(example)]));
  return element("li", {}, button);
}

byId("privacy").textContent = LOCAL.test(location.hostname)
  ? "Your photos stay on this computer."
  : `Your photos go to ${location.hostname}, and nowhere else.`;
downloadAll.addEventListener("click", saveAll);
takeFiles(take);
arrange();
model().then((answer) => showModel((known = answer)), console.warn);
examples().then((list) => {
  byId("examples").append(...list.map(exampleItem));
  byId("examples-block").hidden = list.length === 0;
}, console.warn);
