// Goods that are bought with the fuel, and what buyers of this grade are offered.

import { h, icon } from "./dom.js";
import { good, live, state } from "./state.js";
import { both, label, t, yuan } from "./words.js";

const MOST = 99;

/** The wished goods as the API takes them. */
export function wishedGoods(pane) {
  return Object.entries(pane.goods).map(([good, pieces]) => ({ good, pieces }));
}

function take(pane, code, pieces, changed) {
  if (pieces > 0) pane.goods[code] = Math.min(pieces, MOST);
  else delete pane.goods[code];
  changed(pane);
}

/** One button for each good that goes with this grade: one touch adds it. */
export function suggestions(pane, quote, changed) {
  return quote.suggested_goods.slice(0, 2).map((code) => {
    const price = state.till?.goods.find((one) => one.good === code)?.price_fen;
    return h(
      "button.wide.suggested",
      { key: code, type: "button", "data-good": code, disabled: !live(), onclick: () => take(pane, code, 1, changed) },
      icon("plus"),
      h("span", null, h("span.tag", null, t("goes_with_it")), " ", both(...good(code))),
      price === undefined ? null : h("b.sum", null, `¥${yuan(price)}`),
    );
  });
}

/** The list; while it is open it takes the pane's place. */
export function goodsList(pane, changed, close) {
  const suggested = new Set(pane.quote?.suggested_goods ?? []);
  const goods = [...(state.till?.goods ?? [])].sort((one, other) => Number(suggested.has(other.good)) - Number(suggested.has(one.good)));
  return h(
    "div.picking",
    { key: "goods" },
    goods.length === 0 ? h("div.empty", null, icon("basket"), t("no_goods")) : h("ul.rows", { id: "goods" }, goods.map((one) => row(pane, one, suggested.has(one.good), changed))),
    h("button.wide.go", { type: "button", onclick: close }, t("back_to_bill")),
  );
}

function row(pane, one, suggested, changed) {
  const pieces = pane.goods[one.good] ?? 0;
  const step = (by) => () => take(pane, one.good, pieces + by, changed);
  return h(
    "li.goods-row",
    { key: one.good, "data-good": one.good },
    h("span.middle", null, h("span.top", null, both(one.text_zh, one.text_en)), h("span.under", null, h("span.sum", null, `¥${yuan(one.price_fen)}`), suggested ? h("span.note", null, t("goes_with_it")) : null)),
    h("button.icon-button", { type: "button", "aria-label": `${label("fewer")} ${one.text_zh}`, disabled: pieces === 0, onclick: step(-1) }, icon("minus")),
    h("b.pieces", null, String(pieces)),
    h("button.icon-button", { type: "button", "aria-label": `${label("more")} ${one.text_zh}`, disabled: !live() || pieces >= MOST, onclick: step(1) }, icon("plus")),
  );
}
