// Finding a member by card, phone or plate. What was typed is forgotten with the pane.

import { h, icon } from "./dom.js";
import { digits, plateKeys } from "./keypad.js";
import { ask } from "./link.js";
import { busy, live, order, redraw } from "./state.js";
import { label, t, yuan } from "./words.js";

const KINDS = ["card", "phone", "plate"];

/** A fresh search. */
export function newSearch() {
  return { open: false, kind: "card", text: "" };
}

/** Who is bound: a chip that can be removed, or the button that opens the search. */
export function memberChip(pane, onChange) {
  const { member, search } = pane;
  if (member) {
    return h(
      "div.member-chip",
      null,
      icon("member"),
      h("b", null, member.masked_name),
      h("span.muted", null, member.tier),
      member.available_fen === null ? null : h("span.muted", null, t("balance"), ` ¥${yuan(member.available_fen)}`),
      h("button.icon-button", { type: "button", "aria-label": label("remove"), onclick: () => onChange(null) }, icon("cross")),
    );
  }
  return h(
    "button.wide.quiet.member-add",
    {
      type: "button",
      "aria-expanded": String(search.open),
      onclick: () => {
        search.open = !search.open;
        redraw();
      },
    },
    icon("member"),
    t("member_add"),
  );
}

/** The search itself, while it is open. */
export function memberSearch(pane, onFound) {
  const { search } = pane;
  if (!search.open || pane.member) return null;
  const type = (text) => {
    search.text = text;
    redraw();
  };
  const find = async () => {
    const { kind, text } = search;
    const found = await order("lookup", () => ask("POST", "/v1/members/lookup", { kind, identifier: text }));
    if (!found) return;
    pane.search = newSearch();
    onFound(found);
  };
  return h(
    "div.search",
    null,
    h(
      "div.tabs",
      { role: "tablist" },
      KINDS.map((kind) =>
        h(
          "button",
          {
            key: kind,
            type: "button",
            role: "tab",
            "aria-selected": String(kind === search.kind),
            onclick: () => {
              search.kind = kind;
              type("");
            },
          },
          t(kind),
        ),
      ),
    ),
    h("input.typed", {
      type: "text",
      inputmode: "none",
      autocomplete: "off",
      maxlength: 20,
      value: search.text,
      "aria-label": label(search.kind),
      oninput: (event) => type(event.target.value.trim()),
      onkeydown: (event) => {
        if (event.key === "Enter" && search.text) find();
      },
    }),
    search.kind === "plate" ? plateKeys(search.text, type) : digits(search.text, type, { most: 20 }),
    h(
      "button.wide.go",
      { type: "button", disabled: !live() || !search.text || busy("lookup"), onclick: find },
      icon("search"),
      t("search"),
    ),
  );
}
