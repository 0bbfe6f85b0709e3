// Keys for fingers: digits, and a plate's province and letters.

import { h, icon } from "./dom.js";

const PROVINCES = [..."京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云藏陕甘青宁新"];
const PLATE_KEYS = [..."1234567890ABCDEFGHJKLMNPQRSTUVWXYZ学警港澳挂领使"];

/** Digits; `point` adds a decimal point. `press` is called with the text that results. */
export function digits(text, press, { point = false, most = 8 } = {}) {
  const add = (key) => {
    const next = text + key;
    if (next.length <= most && (!point || /^\d{0,6}(\.\d{0,2})?$/.test(next))) press(next);
  };
  const keys = ["1", "2", "3", "4", "5", "6", "7", "8", "9", point ? "." : "00", "0"];
  return h(
    "div.keypad",
    null,
    keys.map((key) => h("button.key", { key, type: "button", onclick: () => add(key) }, key)),
    eraser(text, press),
  );
}

/** A number plate: the province first, then letters and digits. */
export function plateKeys(text, press) {
  const keys = text === "" ? PROVINCES : PLATE_KEYS;
  return h(
    "div.keypad.plates",
    null,
    keys.map((key) =>
      h("button.key", { key, type: "button", onclick: () => text.length < 8 && press(text + key) }, key),
    ),
    eraser(text, press),
  );
}

function eraser(text, press) {
  return h(
    "button.key.erase",
    { key: "erase", type: "button", "aria-label": "退格 Erase", onclick: () => press([...text].slice(0, -1).join("")) },
    icon("erase"),
  );
}

/** Yuan as typed to fen: "12.3" -> 1230; NaN when it is no amount. */
export function fenOf(text) {
  const found = /^(\d{1,6})(?:\.(\d{0,2}))?$/.exec(text);
  if (!found) return Number.NaN;
  return Number(found[1]) * 100 + Number((found[2] ?? "").padEnd(2, "0"));
}
