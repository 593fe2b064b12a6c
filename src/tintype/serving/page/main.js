// @ts-check
/** The page: photos come in, one of them is on the stage. */

import { exampleFile, examples, model, Refusal } from "./api.js";
import { byId, element, save } from "./dom.js";
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
  complain("");
  const added = files.map((file) => new Photo(file));
  for (const photo of added) {
    photos.push(photo);
    strip.add(photo);
    photo.addEventListener("change", () => tell(photo));
    const limit = known?.limits.bytes ?? Infinity;
    if (photo.file.size > limit) photo.fail(tooLarge(photo.file.size, limit));
    else photo.start(known?.limits.pixels ?? Infinity);
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
  else {
    stage.show(null);
    /** @type {HTMLElement} */ (document.querySelector(".well")).focus();
  }
}

function arrange() {
  document.body.classList.toggle("empty", photos.length === 0);
  byId("welcome").hidden = photos.length > 0;
  byId("work").hidden = photos.length === 0;
  byId("several").hidden = photos.length < 2;
  downloadAll.disabled = photos.some((one) => one.busy) || !photos.some((one) => one.answer);
}

/** @param {Photo} photo */
function tell(photo) {
  arrange();
  const shown = photo === stage.photo;
  if (photo.state === "done") say(`${photo.name} is in color`);
  else if (photo.state === "failed" && !shown) say(`${photo.name}: ${photo.message}`); // else the stage alerts
  else if (photo.busy && shown) say(photo.message || `${photo.name} is being colored`);
}

/** @param {string} text for those who do not see the page */
function say(text) {
  const status = byId("status");
  if (status.textContent !== text) status.textContent = text;
}

/** @param {string} text on what did not come in; "" for nothing */
function complain(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = !text;
}

async function saveAll() {
  for (const { answer, downloadName } of photos) {
    if (!answer) continue;
    save(answer, downloadName);
    await new Promise((resolve) => setTimeout(resolve, 250)); // browsers drop downloads that come at once
  }
}

/** @param {number} size @param {number} limit */
function tooLarge(size, limit) {
  const megabytes = (/** @type {number} */ bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
  return new Refusal(`This file has ${megabytes(size)}; the server takes at most ${megabytes(limit)}.`, 413);
}

/** @param {import("./api.js").Example} example */
function exampleItem(example) {
  const image = element("img", { src: example.url, alt: "", width: 200, height: 150, draggable: false });
  const button = element("button", { type: "button", title: example.credit }, image, element("span", {}, example.name));
  button.addEventListener("click", () => {
    exampleFile(example).then(
      (file) => take([file]),
      (error) => complain(`${example.name}: ${error.message}`),
    );
  });
  return element("li", {}, button);
}

byId("privacy").textContent = LOCAL.test(location.hostname)
  ? "Your photos go to this server only."
  : `Your photos go to ${location.hostname}, and nowhere else.`;
downloadAll.addEventListener("click", saveAll);
takeFiles(take, complain);
arrange();
model().then((answer) => {
  known = answer;
  stage.hints.limit = answer.limits.hints ?? Infinity;
  showModel(answer);
}, console.warn);
examples().then((list) => {
  byId("examples").append(...list.map(exampleItem));
  byId("examples-block").hidden = list.length === 0;
}, console.warn);
