// Pieces that several panes show.

import { h, icon } from "./dom.js";
import { home } from "./state.js";
import { label, unitPrice } from "./words.js";

const SHAPES = { 92: "circle", 95: "square", 98: "diamond", 0: "triangle-fill" };

/** A grade as colour, shape and text. */
export function grade(name) {
  const number = name.replace("#", "");
  const known = number in SHAPES ? number : "other";
  return h("span.grade", { class: `grade-${known}` }, icon(SHAPES[number] ?? "hexagon"), name);
}

/** One hose: the nozzle's number, its grade, its price. */
export function hose(nozzle, chosen = false) {
  return h(
    "span.hose",
    { key: `n-${nozzle.logical}`, class: chosen ? "active" : "" },
    h("span.number", null, String(nozzle.number)),
    grade(nozzle.grade_name),
    h("span.price", null, nozzle.unit_price_milli === null ? "—" : unitPrice(nozzle.unit_price_milli)),
  );
}

/** A name and its value; a list of texts is shown one after the other. */
export function line(key, name, value, kind = "") {
  return h("div.line", { key, class: kind }, h("dt", null, name), h("dd", null, value));
}

export function backButton(where = () => home()) {
  return h("button.icon-button.back", { type: "button", "aria-label": label("back"), onclick: where }, icon("back"));
}

/** What was typed, with a cross that gives typing up. */
export function typedFigure(name, figure, giveUp) {
  return h(
    "div.typed",
    null,
    h("span.muted", null, name),
    h("b", null, figure),
    h("button.icon-button", { type: "button", "aria-label": label("back"), onclick: giveUp }, icon("cross")),
  );
}

/** A listener for Enter. It returns nothing: a listener that returns false swallows the key. */
export function onEnter(act) {
  return (event) => {
    if (event.key === "Enter") act();
  };
}
