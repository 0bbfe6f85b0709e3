// The price of a fuelling, line by line, with its reasons: what was applied, what was not and why.

import { h, icon } from "./dom.js";
import { line } from "./parts.js";
import { good, redraw } from "./state.js";
import { both, t, yuan } from "./words.js";

/** What is still to be paid, redeemed points apart; negative when a prepayment was larger. */
export function due(quote) {
  return quote.payable_fen - quote.prepaid_fen - quote.points_pay_fen;
}

/** The bill line by line, and what was given beside the price. */
export function billed(pane, item) {
  return [lines(pane, item), pane.quote ? given(pane.quote) : null];
}

/** What did not apply and why, and the step that would have been cheapest. */
export function reasons(pane) {
  const { quote } = pane;
  if (quote === null) return null;
  return [refused(pane, quote), quote.next_step ? nextStep(quote.next_step) : null];
}

function lines(pane, item) {
  const { quote } = pane;
  return h(
    "dl.lines",
    { key: "lines", class: pane.stale ? "stale" : "" },
    line("list", t("list_amount"), yuan(quote ? quote.fuel_amount_fen : item.amount_fen)),
    (quote?.goods ?? []).map((one) => line(`good ${one.good}`, [both(...good(one.good)), ` × ${one.pieces}`], yuan(one.amount_fen))),
    (quote?.applied ?? []).map((offer) =>
      line(`${offer.offer} ${offer.coupon ?? ""}`, [offer.coupon ? icon("ticket") : null, both(offer.text_zh, offer.text_en)], `−${yuan(offer.amount_fen)}`, "less"),
    ),
    quote?.points_pay_fen ? line("redeemed", [both(`积分 ${quote.points_redeemed}`, `${quote.points_redeemed} points`)], `−${yuan(quote.points_pay_fen)}`, "less") : null,
    quote?.prepaid_fen ? line("prepaid", t("prepaid"), `−${yuan(quote.prepaid_fen)}`) : null,
    quote && due(quote) < 0
      ? line("due", t("give_back"), yuan(-due(quote)), "due back")
      : line("due", t("payable_amount"), quote ? yuan(due(quote)) : "…", "due"),
    quote?.points_earned ? line("points", t("points"), `+${quote.points_earned}`, "muted") : null,
  );
}

function given(quote) {
  if (quote.benefits.length === 0) return null;
  return h(
    "ul.given",
    { key: "given" },
    quote.benefits.map((one) => h("li", { key: `${one.offer} ${one.coupon ?? ""}` }, icon("gift"), both(one.text_zh, one.text_en), one.pieces > 0 ? ` × ${one.pieces}` : null)),
  );
}

/** The purchase that would make a litre cheapest. */
export function nextStep(step, beside = null) {
  return h("p.next-step", { key: "next-step" }, icon("hint"), both(step.text_zh, step.text_en), beside);
}

function refused(pane, quote) {
  const { rejected } = quote;
  if (rejected.length === 0) return null;
  const toggle = () => {
    pane.why = !pane.why;
    redraw();
  };
  return h(
    "div.not-applied",
    { key: "why" },
    h("button.quiet.fold", { type: "button", "aria-expanded": String(pane.why), onclick: toggle }, icon(pane.why ? "up" : "down"), t("why_not"), h("b", null, String(rejected.length))),
    pane.why ? h("ul", null, [...rejected].sort(nearestFirst).map(reasonOf)) : null,
  );
}

function reasonOf(offer) {
  return h("li", { key: `${offer.offer} ${offer.coupon ?? ""}` }, offer.coupon ? icon("ticket") : null, both(offer.text_zh, offer.text_en));
}

// Offers that more fuel, money or time would bring come first; the others nothing can change.
function nearestFirst(one, other) {
  return Number(one.missing === null) - Number(other.missing === null);
}
