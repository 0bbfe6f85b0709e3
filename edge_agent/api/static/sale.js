// A settled sale: its receipt, and paying it back.

import { h, icon } from "./dom.js";
import { ask, askOnce, wishKey } from "./link.js";
import { backButton } from "./parts.js";
import { busy, home, live, order, redraw, refreshSales, show } from "./state.js";
import { label, t, yuan } from "./words.js";

const REASONS = ["reason_mistake", "reason_fuel", "reason_customer"];

/** Show a sale; a fresh one says what to hand back. */
export async function showSale(sale, fresh) {
  const pane = { name: "sale", sale, fresh, text: null, refunding: false, reason: null, key: wishKey() };
  show(pane);
  await fetchReceipt(pane, !fresh);
}

async function fetchReceipt(pane, reprint) {
  const path = `/v1/sales/${encodeURIComponent(pane.sale.sale_id)}/receipt${reprint ? "?reprint=true" : ""}`;
  const text = await order(`receipt ${pane.sale.sale_id}`, () => ask("GET", path));
  if (text !== undefined) pane.text = text;
  redraw();
}

export function salePane(pane) {
  const { sale } = pane;
  const leave = () => home(pane.fresh ? "unpaid" : "sales");
  return h(
    "div.pane.sale",
    { key: `sale ${sale.sale_id}` },
    h("header", null, backButton(leave), h("b", null, t(sale.refunded ? "refunded" : pane.fresh ? "paid" : "receipt")), h("span.muted.age", null, `No. ${sale.receipt_no}`)),
    pane.fresh && !sale.refunded
      ? h(
          "div.done",
          null,
          h("span", null, icon("tick"), t("paid"), h("b.sum", null, `¥${yuan(sale.payable_fen)}`)),
          sale.change_fen > 0 ? h("span.hand-back", null, t("change"), h("b.sum", null, `¥${yuan(sale.change_fen)}`)) : null,
        )
      : null,
    h("div.scroll", null, pane.text === null ? null : h("pre.receipt", { "aria-label": label("receipt") }, pane.text)),
    pane.refunding ? refundForm(pane) : saleButtons(pane, leave),
  );
}

function saleButtons(pane, leave) {
  const { sale } = pane;
  return h(
    "div.pane-buttons",
    null,
    h("button.quiet", { type: "button", key: "print", onclick: () => window.print() }, icon("printer"), t("print")),
    sale.refunded || pane.fresh
      ? null
      : h(
          "button.quiet",
          {
            type: "button",
            key: "refund",
            disabled: !live(),
            onclick: () => {
              pane.refunding = true;
              redraw();
            },
          },
          icon("refund"),
          t("refund"),
        ),
    h("button.go", { type: "button", key: "close", onclick: leave }, t("close")),
  );
}

function refundForm(pane) {
  const choose = (reason) => {
    pane.reason = reason;
    redraw();
  };
  const back = () => {
    pane.refunding = false;
    choose(null);
  };
  return h(
    "div.refund",
    null,
    h("h3", null, t("reason")),
    h(
      "div.notes",
      null,
      REASONS.map((reason) =>
        h("button", { key: reason, type: "button", "aria-pressed": String(pane.reason === reason), onclick: () => choose(reason) }, t(reason)),
      ),
    ),
    h(
      "div.pane-buttons",
      null,
      h("button.quiet", { type: "button", key: "back", onclick: back }, t("back")),
      h(
        "button.halt",
        { type: "button", key: "refund", disabled: !live() || pane.reason === null || busy("refund"), onclick: () => refund(pane) },
        t("refund"),
        h("b.sum", null, `¥${yuan(pane.sale.payable_fen)}`),
      ),
    ),
  );
}

async function refund(pane) {
  const path = `/v1/sales/${encodeURIComponent(pane.sale.sale_id)}/refund`;
  const body = { reason: label(pane.reason) };
  const sale = await order("refund", () => askOnce(path, body, pane.key), (error) => {
    if (!error.unsure) pane.key = wishKey();
  });
  if (!sale) return;
  Object.assign(pane, { sale, refunding: false, reason: null });
  await fetchReceipt(pane, false);
  refreshSales();
}
