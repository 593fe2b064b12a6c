// @ts-check
/** The ways in: dropped, picked and pasted files. */

import { byId } from "./dom.js";

/** @param {(files: File[]) => void} take */
export function takeFiles(take) {
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
    if (event.dataTransfer) dropped(event.dataTransfer).then(take);
  });
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) take(files);
  });
}

/**
 * @param {DataTransfer} data
 * @returns {Promise<File[]>} the files, and the photos in folders
 */
async function dropped({ items, files }) {
  // Entries are to be had only now, before anything is waited for.
  const entries = [...items].map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry !== null);
  if (!entries.some((entry) => entry?.isDirectory)) return [...files];
  return (await Promise.all(entries.map((entry) => walked(entry, false)))).flat();
}

/**
 * @param {any} entry a FileSystemEntry
 * @param {boolean} inFolder
 * @returns {Promise<File[]>}
 */
async function walked(entry, inFolder) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return inFolder && !file.type.startsWith("image/") ? [] : [file];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // a hundred at a time
    if (!some.length) break;
    found.push(...some);
  }
  return (await Promise.all(found.map((one) => walked(one, true)))).flat();
}
