// The second factor: a member's code or PIN, or a second member of staff. Kept only while it is typed.

import { h, icon } from "./dom.js";
import { digits } from "./keypad.js";
import { onEnter } from "./parts.js";
import { busy, live, redraw, state } from "./state.js";
import { label, t } from "./words.js";

const WAYS = { member: ["code", "pin"], second_person: ["staff"], either: ["code", "pin", "staff"] };
const MOST_DIGITS = 12;

/** A fresh form, of what the policy lets confirm: member, second_person, either. */
export function newFactor(confirm = "either") {
  const ways = WAYS[confirm];
  return { ways, way: ways[0], code: "", pin: "", operator: "", operatorPin: "" };
}

/** Forget what was typed, whatever became of it. */
export function wipe(factor) {
  Object.assign(factor, { code: "", pin: "", operator: "", operatorPin: "" });
}

/** Open the dialog when an order was refused for want of a second factor, or for a wrong one. */
export function needsSecondFactor(error, pane) {
  const wrong = /^(pin|member_code|second_factor|risk_second_factor|fleet_pin)/.test(error.code);
  if (!wrong) {
    pane.factor = null;
    return false;
  }
  pane.factor ??= newFactor();
  wipe(pane.factor);
  redraw();
  return true;
}

/** What is sent, or null while something is missing. */
export function factorOf(factor) {
  if (factor.way === "code") return factor.code ? { member_code: factor.code } : null;
  if (factor.way === "pin") return factor.pin.length >= 4 ? { member_pin: factor.pin } : null;
  return factor.operator && factor.operatorPin.length >= 4 ? { operator: factor.operator, operator_pin: factor.operatorPin } : null;
}

/** The dialog over the pane. */
export function secondFactor(factor, onGiven, onGivenUp) {
  const submit = () => {
    const second = factorOf(factor);
    if (second === null || busy("settle")) return;
    wipe(factor);
    onGiven(second);
  };
  return h(
    "div.dialog",
    { key: "factor", role: "dialog", "aria-modal": "true", "aria-label": label("second_factor") },
    h(
      "div.sheet",
      null,
      h("header", null, icon("shield"), h("h2", null, t("second_factor")), h("button.icon-button", { type: "button", "aria-label": label("back"), onclick: onGivenUp }, icon("cross"))),
      factorForm(factor, submit),
      h("button.wide.go", { type: "button", disabled: !live() || factorOf(factor) === null || busy("settle"), onclick: submit }, t("confirm")),
    ),
  );
}

/** The fields alone: a tab for each way, its field, digits for a PIN. */
export function factorForm(factor, submit) {
  const choose = (way) => () => {
    wipe(factor);
    factor.way = way;
    redraw();
  };
  return h(
    "div.factor",
    { key: "factor-form" },
    factor.ways.length > 1
      ? h(
          "div.tabs",
          { role: "tablist" },
          factor.ways.map((way) => h("button", { key: way, type: "button", role: "tab", "aria-selected": String(way === factor.way), onclick: choose(way) }, t(`by_${way}`))),
        )
      : null,
    fields(factor, submit),
  );
}

function fields(factor, submit) {
  if (factor.way === "code") return [h("p.scan", { key: "scan" }, icon("scan"), t("scan_code")), field(factor, "code", "member_code", submit)];
  if (factor.way === "pin") return [field(factor, "pin", "member_pin", submit), pinKeys(factor, "pin")];
  return factor.operator === "" ? staffNames(factor) : [field(factor, "operatorPin", factor.operator, submit), pinKeys(factor, "operatorPin")];
}

// Whoever confirms touches the own name: nobody types one with gloves on.
function staffNames(factor) {
  const names = state.till?.staff ?? [];
  if (names.length === 0) return h("p", { key: "nobody" }, t("no_staff"));
  const choose = (name) => () => {
    factor.operator = name;
    redraw();
  };
  return h("div.choices.staff", { key: "names" }, names.map((name) => h("button.choice", { key: name, type: "button", onclick: choose(name) }, name)));
}

// Plain text fields whose letters the style hides: a password field would be offered to be kept.
function field(factor, name, word, submit) {
  return h(
    "label.field",
    { key: name },
    factor.way === "staff" ? word : t(word),
    h("input.typed.secret", {
      type: "text",
      inputmode: "none",
      autocomplete: "off",
      spellcheck: "false",
      maxlength: name === "code" ? 256 : MOST_DIGITS,
      autofocus: true,
      value: factor[name],
      oninput: (event) => {
        factor[name] = event.target.value.trim();
        redraw();
      },
      onkeydown: onEnter(submit),
    }),
  );
}

function pinKeys(factor, name) {
  const press = (text) => {
    factor[name] = text;
    redraw();
  };
  return digits(factor[name], press, { most: MOST_DIGITS });
}
