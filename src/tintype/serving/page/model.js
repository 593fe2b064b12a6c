// @ts-check
/** The model's name, what its makers say of it, and its metrics on its test photos. */

import { byId, element } from "./dom.js";

/** Known metrics in the order they are shown: what they are called, and which way is better. */
const METRICS = {
  ciede2000: ["CIEDE2000", "↓"],
  psnr: ["PSNR, dB", "↑"],
  psnr_pooled: ["PSNR pooled, dB", "↑"],
  ssim: ["SSIM", "↑"],
  lpips: ["LPIPS", "↓"],
  feature_distance_lite2: ["Feature distance", "↓"],
  fid: ["FID", "↓"],
  fid_lite2: ["FID by EfficientNet-Lite2", "↓"],
  kid: ["KID", "↓"],
  kid_lite2: ["KID by EfficientNet-Lite2", "↓"],
  colorfulness: ["Colorfulness", ""],
  colorfulness_gap: ["Colorfulness gap", "↓"],
  rmse: ["RMSE", "↓"],
  mae: ["MAE", "↓"],
  custom_accuracy: ["Accuracy of ab", "↑"],
  class_accuracy: ["Class accuracy", "↑"],
};

/** @param {import("./api.js").Model} model */
export function showModel({ name, description, limitations, metrics, image_size: side }) {
  const box = /** @type {HTMLDetailsElement} */ (byId("model"));
  box.hidden = false;
  byId("model-name").textContent = name;
  const order = Object.keys(METRICS);
  const rank = (/** @type {string} */ key) => (order.includes(key) ? order.indexOf(key) : order.length);
  const rows = Object.entries(metrics)
    .sort(([one], [other]) => rank(one) - rank(other) || one.localeCompare(other))
    .map(([key, value]) => {
      const [label, better] = Reflect.get(METRICS, key) ?? [key, ""];
      return element("tr", {}, element("th", { scope: "row" }, label), element("td", {}, formatted(value)), element("td", {}, better));
    });
  byId("model-sheet").replaceChildren(
    element("p", { className: "sheet-name" }, name),
    ...[description, limitations].filter(Boolean).map((said) => element("p", { className: "sheet-note" }, said)),
    element("p", { className: "sheet-note" }, `Sees photos at ${side} pixels; their lightness stays at full size.`),
    rows.length
      ? element("table", {}, element("caption", {}, "On its test photos"), element("tbody", {}, ...rows))
      : element("p", { className: "sheet-note" }, "No metrics are known of it."),
  );
  document.addEventListener("click", (event) => {
    if (!box.contains(/** @type {Node} */ (event.target))) box.open = false;
  });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Escape") box.open = false;
  });
}

/** @param {number} value */
function formatted(value) {
  return Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toPrecision(3);
}
