// @ts-check
/** The ways in: dropped, picked and pasted files. */

import { byId } from "./dom.js";

/**
 * @param {(files: File[]) => void} take
 * @param {(text: string) => void} complain
 */
export function takeFiles(take, complain) {
  const input = /** @type {HTMLInputElement} */ (byId("files"));
  for (const button of document.querySelectorAll("[data-pick]")) {
    button.addEventListener("click", () => input.click());
  }
  input.addEventListener("change", () => {
    take([...(input.files ?? [])]);
    input.value = ""; // so that the same file may be picked again
  });

  const veil = byId("veil");
  let depth = 0; // dragenter and dragleave come for every element passed over
  const lift = () => {
    depth = 0;
    veil.classList.remove("down");
  };
  addEventListener("dragenter", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    depth += 1;
    veil.classList.add("down");
  });
  addEventListener("dragleave", () => {
    depth -= 1;
    if (depth <= 0) lift();
  });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    lift();
    if (!event.dataTransfer) return;
    /** @type {string[]} */
    const lost = [];
    dropped(event.dataTransfer, lost).then((files) => {
      take(files);
      if (lost.length) complain(`Could not be read: ${lost.join(", ")}.`);
      else if (!files.length) complain("There was no photo in what was dropped.");
    });
  });
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) take(files);
  });
}

/**
 * @param {DataTransfer} data
 * @param {string[]} lost names of what cannot be read are added
 * @returns {Promise<File[]>} the files, and the photos in folders
 */
async function dropped({ items, files }, lost) {
  // Entries are to be had only now, before anything is waited for.
  const entries = [...items].map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry !== null);
  if (!entries.some((entry) => entry?.isDirectory)) return [...files];
  return (await Promise.all(entries.map((entry) => walked(entry, false, lost)))).flat();
}

/**
 * @param {any} entry a FileSystemEntry
 * @param {boolean} inFolder
 * @param {string[]} lost
 * @returns {Promise<File[]>}
 */
async function walked(entry, inFolder, lost) {
  const found = [];
  try {
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
      return inFolder && !file.type.startsWith("image/") ? [] : [file];
    }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // a hundred at a time
      if (!some.length) break;
      found.push(...some);
    }
  } catch {
    lost.push(entry.name);
  }
  return (await Promise.all(found.map((one) => walked(one, true, lost)))).flat();
}
