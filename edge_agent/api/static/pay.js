// Paying one fuelling: who pays, the price explained, goods, coupons, points, and how it is paid.

import { h, icon } from "./dom.js";
import { couponList } from "./coupons.js";
import { billed, due, reasons } from "./explained.js";
import { secondFactor, needsSecondFactor } from "./factor.js";
import { goodsList, suggestions, wishedGoods } from "./goods.js";
import { digits } from "./keypad.js";
import { ask, askOnce, wishKey } from "./link.js";
import { memberSearch, newSearch } from "./member.js";
import { backButton, grade, typedFigure } from "./parts.js";
import { showSale } from "./sale.js";
import { busy, live, lookUp, now, order, redraw, show, unpaid } from "./state.js";
import { adopted, hasCash, offers, paidOtherwise, resting, tenderPanel } from "./tenders.js";
import { showWallet } from "./top_up.js";
import { expiryWarning, memberCard } from "./wallet.js";
import { label, lasting, litres, t, unitPrice, yuan } from "./words.js";

/** Open the pay pane of a fuelling. One opening is one wish: its key makes a second press harmless. */
export function pay(fuelling) {
  const pane = {
    name: "pay",
    fuelling,
    fp: unpaid(fuelling)?.fp,
    key: wishKey(),
    quote: null,
    member: null, // found by a person here; null for whoever the fuelling is bound to
    search: newSearch(),
    sub: null, // what takes the pane's place: coupons, goods, split
    goods: {}, // pieces by good
    coupons: null, // serials that may be used; null for all
    points: 0, // to be redeemed
    main: null, // the means that takes what the others leave; null: as planned
    parts: [], // means with an amount of their own
    chosen: false, // whether a person chose how it is paid; else the plan holds
    references: {}, // what a terminal printed, by means
    received: "",
    typing: false,
    why: false, // whether refused offers are unfolded
    warned: new Set(), // members whose expiring points and coupons were told
    factor: null, // the dialog for a second factor
  };
  show(pane);
  return fetchQuote(pane);
}

/** How the pane wishes its fuelling to be priced. */
function wishOf(pane) {
  const wish = {
    goods: wishedGoods(pane),
    coupons: pane.coupons,
    redeem_points: pane.points,
    paying: pane.main,
    paid_otherwise_fen: paidOtherwise(pane),
  };
  if (pane.member) wish.member = pane.member.ref;
  return wish;
}

/** Ask for the price again; of several wishes only the answer to the last one is shown. */
export async function fetchQuote(pane) {
  pane.asked = (pane.asked ?? 0) + 1;
  const mine = pane.asked;
  const path = `/v1/fuellings/${encodeURIComponent(pane.fuelling)}/quote`;
  const quote = await lookUp(`quote ${pane.fuelling} ${mine}`, () => ask("POST", path, wishOf(pane)));
  if (mine !== pane.asked) return;
  if (!quote && plainer(pane)) return fetchQuote(pane);
  if (quote && adopted(pane, quote)) return fetchQuote(pane);
  if (quote) pane.quote = quote;
  pane.stale = false;
  redraw();
}

// A wish that cannot be priced any more: its points, its coupons or its parts are let go.
function plainer(pane) {
  const wished = pane.points > 0 || pane.coupons !== null || pane.parts.length > 0;
  Object.assign(pane, { points: 0, coupons: null, parts: [] });
  return wished && live();
}

/** Price it again, and where nobody chose how it is paid, plan that again too. */
export function planAgain(pane) {
  if (!pane.chosen) Object.assign(pane, { main: null, parts: [] });
  return changed(pane);
}

/** Something about the wish was changed: what is shown no longer holds until it is priced again. */
export function changed(pane) {
  pane.stale = true;
  pane.received = "";
  pane.typing = false;
  redraw();
  return fetchQuote(pane);
}

function setMember(pane, member) {
  Object.assign(pane, { member, quote: null, coupons: null, points: 0, chosen: false });
  planAgain(pane);
}

export function payPane(pane) {
  const item = unpaid(pane.fuelling);
  if (item === null) return gone();
  const open = pane.search.open || pane.sub !== null;
  return h(
    "div.pane.pay",
    { key: `pay ${pane.fuelling}` },
    h(
      "header",
      null,
      backButton(open ? () => closeSub(pane) : undefined),
      h("span.gun.small", null, h("span.number", null, String(item.nozzle_number)), grade(item.grade_name)),
      h("span.what", null, h("b", null, `${litres(item.volume_ml)} L`), h("span.muted", null, `× ${unitPrice(item.unit_price_milli)}`)),
      h("span.muted.age", null, icon("clock"), lasting(now() - item.ended_ms)),
    ),
    h("div.scroll", null, open ? subPane(pane) : bill(pane, item)),
    pane.quote && !open ? settling(pane, pane.quote) : null,
  );
}

/** What lies over the pane until it is answered. */
export function payDialog(pane) {
  if (pane.factor) return secondFactor(pane.factor, (second) => settle(pane, second), () => giveUpFactor(pane));
  return warning(pane);
}

function warning(pane) {
  const { quote } = pane;
  if (!quote?.wallet || pane.warned.has(quote.member.ref)) return null;
  return expiryWarning(quote.wallet, quote.redeemable, (use) => told(pane, use));
}

function told(pane, use) {
  pane.warned.add(pane.quote.member.ref);
  if (use) redeem(pane, pane.quote.redeemable.points);
  redraw();
}

function gone() {
  return h("div.pane", null, h("header", null, backButton(), h("b", null, t("paid"))), h("div.empty", null, icon("tick"), t("paid")));
}

function bill(pane, item) {
  const { quote } = pane;
  return [
    billed(pane, item),
    memberCard(pane, pane.member ?? quote?.member ?? null, quote?.wallet ?? null, {
      onChange: (member) => setMember(pane, member),
      onTopUp: () => showWallet(pane.quote.member, pane),
    }),
    quote ? extras(pane, quote) : null,
    reasons(pane),
  ];
}

function extras(pane, quote) {
  const open = (sub) => () => {
    pane.sub = sub;
    redraw();
  };
  const coupons = quote.wallet?.coupons ?? [];
  const used = [...quote.applied, ...quote.benefits].filter((one) => one.coupon !== null).length;
  return h(
    "div.extras",
    { key: "extras" },
    suggestions(pane, quote, changed),
    h(
      "div.extra-buttons",
      null,
      coupons.length > 0 ? h("button.quiet", { key: "coupons", type: "button", onclick: open("coupons") }, icon("ticket"), t("coupons"), h("b", null, `${used}/${coupons.length}`)) : null,
      h("button.quiet", { key: "goods", type: "button", onclick: open("goods") }, icon("basket"), t("goods")),
      pointsButton(pane, quote),
    ),
  );
}

function pointsButton(pane, quote) {
  const { redeemable } = quote;
  const on = pane.points > 0;
  if (!on && redeemable === null) return null;
  return h(
    "button.quiet",
    { key: "points", type: "button", "aria-pressed": String(on), disabled: !live(), onclick: () => redeem(pane, on ? 0 : redeemable.points) },
    icon("star"),
    t("use_points"),
    h("b", null, `−¥${yuan(on ? quote.points_pay_fen : redeemable.amount_fen)}`),
  );
}

function redeem(pane, points) {
  pane.points = points;
  changed(pane);
}

// --- what takes the pane's place -----------------------------------------------------------------

function closeSub(pane) {
  pane.search = newSearch();
  pane.sub = null;
  redraw();
}

/** Esc: close what is open in the pane. Returns whether something was. */
export function closeInner(pane) {
  if (pane.factor) giveUpFactor(pane);
  else if (warning(pane)) told(pane, false);
  else if (pane.search.open || pane.sub !== null) closeSub(pane);
  else return false;
  return true;
}

function subPane(pane) {
  if (pane.search.open) return memberSearch(pane, (member) => setMember(pane, member));
  if (pane.sub === "coupons") return couponList(pane, changed, () => closeSub(pane));
  if (pane.sub === "goods") return goodsList(pane, changed, () => closeSub(pane));
  return splitForm(pane);
}

function splitForm(pane) {
  const { split } = pane;
  const press = (text) => {
    split.text = text;
    redraw();
  };
  const choose = (means) => () => {
    split.means = means;
    redraw();
  };
  const sum = split.fen();
  const rest = resting(pane);
  return h(
    "div.split",
    { key: "split" },
    h("p", null, t("split_hint")),
    h(
      "div.tabs",
      { role: "tablist" },
      split.choices.map((means) =>
        h("button", { key: means, type: "button", role: "tab", "aria-selected": String(means === split.means), onclick: choose(means) }, t(means)),
      ),
    ),
    typedFigure(t(split.means), `¥${split.text || "0"}`, () => closeSub(pane)),
    digits(split.text, press, { point: true }),
    h(
      "button.wide.go",
      {
        type: "button",
        disabled: !(sum > 0 && sum < rest),
        onclick: () => {
          pane.chosen = true;
          pane.parts = [...pane.parts.filter((part) => part.means !== split.means), { means: split.means, amount_fen: sum }];
          closeSub(pane);
          changed(pane);
        },
      },
      t("split_take"),
      h("b.sum", null, `¥${split.text || "0"}`),
    ),
  );
}

// --- settling ------------------------------------------------------------------------------------

function settling(pane, quote) {
  const toPay = due(quote);
  if (toPay <= 0) {
    const back = toPay < 0 ? `${label("give_back")} ¥${yuan(-toPay)}` : null;
    return h("div.tenders", null, settleButton(pane, "settle_prepaid", back, false));
  }
  return tenderPanel(pane, quote, {
    changed: () => changed(pane),
    settleButton: (words, amount, off) => settleButton(pane, words, amount, off),
    enter: () => settleChosen(pane),
  });
}

function settleButton(pane, words, amount, off) {
  const shut = !live() || off || pane.stale || busy("settle");
  return h(
    "button.wide.settle.go",
    { key: "settle", type: "button", disabled: shut, onclick: () => settle(pane) },
    typeof words === "string" ? t(words) : words,
    amount ? h("b.sum", { class: amount.length > 9 ? "several" : "" }, amount) : null,
  );
}

async function settle(pane, second = null) {
  const { quote } = pane;
  const body = { ...wishOf(pane), tenders: due(quote) > 0 ? offers(pane) : [], shown_fen: quote.payable_fen };
  if (second) body.second = second;
  const path = `/v1/fuellings/${encodeURIComponent(pane.fuelling)}/settle`;
  const sale = await order("settle", () => askOnce(path, body, pane.key), (error) => refused(pane, error));
  if (!sale) return;
  pane.factor = null;
  showSale(sale, true);
}

function refused(pane, error) {
  // Nothing happened under this key, and the next press may wish for something else. Where it is
  // unsure, the key stays: pressing again brings the same sale.
  if (!error.unsure) pane.key = wishKey();
  if (needsSecondFactor(error, pane)) return;
  if (error.status === 402) pane.beyond = false; // headquarters gave no more than is leased here
  changed(pane);
}

function giveUpFactor(pane) {
  pane.factor = null;
  redraw();
}

/** Digits typed on a keyboard while the pane is open are the cash received. */
export function typeCash(pane, key) {
  if (pane.quote === null || pane.sub !== null || due(pane.quote) <= 0 || !hasCash(pane)) return;
  pane.typing = true;
  if (key === "Backspace") pane.received = pane.received.slice(0, -1);
  else if (/^\d{0,6}(\.\d{0,2})?$/.test(pane.received + key)) pane.received += key;
  redraw();
}

/** Enter on a keyboard takes the money as it is chosen. */
export function settleChosen(pane) {
  if (warning(pane)) {
    told(pane, false);
    return;
  }
  if (pane.quote === null || pane.stale || pane.sub !== null || pane.factor || busy("settle")) return;
  if (due(pane.quote) <= 0 || offers(pane) !== null) settle(pane);
}
