// A member's coupons: which may be used for this fuelling, and which of them are.

import { h, icon } from "./dom.js";
import { both, dayOf, t, yuan } from "./words.js";

/** The list; while it is open it takes the pane's place. */
export function couponList(pane, changed, close) {
  const { quote } = pane;
  const coupons = quote.wallet?.coupons ?? [];
  const allowed = new Set(pane.coupons ?? coupons.map((one) => one.serial));
  const toggle = (serial) => () => {
    if (!allowed.delete(serial)) allowed.add(serial);
    pane.coupons = allowed.size === coupons.length ? null : [...allowed];
    changed(pane);
  };
  return h(
    "div.picking",
    { key: "coupons" },
    h("p", null, t("coupons_hint")),
    h("ul.rows", { id: "coupons" }, coupons.map((one) => row(one, quote, allowed.has(one.serial), toggle(one.serial)))),
    h("button.wide.go", { type: "button", onclick: close }, t("back_to_bill")),
  );
}

function row(coupon, quote, ticked, onclick) {
  const { serial } = coupon;
  return h(
    "li",
    { key: serial },
    h(
      "button.row.pick",
      { type: "button", role: "checkbox", "aria-checked": String(ticked), "data-coupon": serial, onclick },
      h("span.box", null, ticked ? icon("tick") : null),
      h("span.middle", null, h("span.top", null, both(coupon.text_zh, coupon.text_en)), h("span.under", null, h("span.muted", null, t("until"), " ", dayOf(coupon.until_ms - 1)), outcome(serial, quote, ticked))),
      worth(serial, quote),
    ),
  );
}

function outcome(serial, quote, ticked) {
  if (!ticked) return h("span.note", null, t("left_out"));
  const why = quote.rejected.find((one) => one.coupon === serial);
  return why ? h("span.note.whole", null, both(why.text_zh, why.text_en)) : null;
}

function worth(serial, quote) {
  const line = quote.applied.find((one) => one.coupon === serial);
  if (line) return h("b.sum.less", null, `−${yuan(line.amount_fen)}`);
  return quote.benefits.some((one) => one.coupon === serial) ? h("span.less", null, icon("gift")) : null;
}
