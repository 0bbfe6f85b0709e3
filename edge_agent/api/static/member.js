// Finding a member by card, phone, plate or the code of a phone. What was typed is forgotten with
// the pane.

import { h, icon } from "./dom.js";
import { digits, plateKeys } from "./keypad.js";
import { ask } from "./link.js";
import { onEnter } from "./parts.js";
import { busy, live, order, redraw } from "./state.js";
import { both, label, t, yuan } from "./words.js";

const KINDS = ["card", "phone", "plate", "code"];
const LONGEST = { card: 20, phone: 20, plate: 20, code: 256 };

let searches = 0;

/** A fresh search. */
export function newSearch() {
  searches += 1;
  return { id: searches, open: false, kind: "card", text: "" };
}

/** Who is bound, and the button that opens the search for somebody else. */
export function memberChip(pane, member, onChange) {
  const { search } = pane;
  const toggle = () => {
    search.open = !search.open;
    redraw();
  };
  if (member === null) {
    return h(
      "button.wide.quiet.member-add",
      { key: "member", type: "button", "aria-expanded": String(search.open), onclick: toggle },
      icon("member"),
      t("member_add"),
    );
  }
  return h(
    "div.member-chip",
    { key: "chip" },
    icon("member"),
    h(
      "span.who",
      null,
      h("span", null, h("b", null, member.masked_name), both(member.tier_zh, member.tier_en)),
      member.available_fen === null ? null : h("span", null, t("balance"), h("b.sum", null, `¥${yuan(member.available_fen)}`)),
    ),
    chipButton(pane, onChange, toggle),
  );
}

// Nothing where the member cannot be changed, a cross for one found here, else the search.
function chipButton(pane, onChange, toggle) {
  if (onChange === null) return null;
  return pane.member
    ? h("button.icon-button", { key: "remove", type: "button", "aria-label": label("remove"), onclick: () => onChange(null) }, icon("cross"))
    : h("button.icon-button", { key: "other", type: "button", "aria-label": label("member_add"), onclick: toggle }, icon("search"));
}

/** The search; while it is open it takes the pane's place. */
export function memberSearch(pane, onFound) {
  const { search } = pane;
  const type = (text) => {
    search.text = text;
    redraw();
  };
  const close = () => {
    pane.search = newSearch();
    redraw();
  };
  const find = async () => {
    const { kind, text } = search;
    if (kind === "code") search.text = ""; // a code identifies once
    const found = await order("lookup", () => ask("POST", "/v1/members/lookup", { kind, identifier: text }));
    if (!found) return;
    close();
    // A code that found its member also proves one charge or top-up of it.
    onFound({ ...found, shown: kind === "code" });
  };
  return h(
    "div.search",
    { key: `search ${search.id}` },
    kinds(search, type),
    h(
      "div.typed-row",
      null,
      h("input.typed", {
        key: search.kind,
        type: "text",
        inputmode: "none",
        autocomplete: "off",
        class: search.kind === "code" ? "secret" : "",
        maxlength: LONGEST[search.kind],
        autofocus: true,
        value: search.text,
        "aria-label": label(search.kind),
        oninput: (event) => type(event.target.value.trim()),
        onkeydown: onEnter(() => search.text && find()),
      }),
      h("button.icon-button", { type: "button", "aria-label": label("back"), onclick: close }, icon("cross")),
    ),
    keys(search, type),
    h(
      "button.wide.go",
      { type: "button", disabled: !live() || !search.text || busy("lookup"), onclick: find },
      icon("search"),
      t("search"),
    ),
  );
}

function keys(search, type) {
  if (search.kind === "code") return h("p.scan", { key: "scan" }, icon("scan"), t("scan_code"));
  return search.kind === "plate" ? plateKeys(search.text, type) : digits(search.text, type, { most: LONGEST[search.kind] });
}

function kinds(search, type) {
  const choose = (kind) => () => {
    search.kind = kind;
    type("");
  };
  return h(
    "div.tabs",
    { role: "tablist" },
    KINDS.map((kind) =>
      h("button", { key: kind, type: "button", role: "tab", "aria-selected": String(kind === search.kind), onclick: choose(kind) }, t(kind)),
    ),
  );
}
