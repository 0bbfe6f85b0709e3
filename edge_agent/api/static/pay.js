// Paying one fuelling: the quote line by line, the member, the tenders, the change.

import { h, icon } from "./dom.js";
import { digits, fenOf } from "./keypad.js";
import { ask, askOnce, wishKey } from "./link.js";
import { memberChip, memberSearch, newSearch } from "./member.js";
import { backButton, grade, line, typedFigure } from "./parts.js";
import { showSale } from "./sale.js";
import { busy, live, now, order, redraw, show, unpaid } from "./state.js";
import { both, label, lasting, litres, shortYuan, t, unitPrice, yuan } from "./words.js";

/** Open the pay pane of a fuelling. One opening is one wish: its key makes a second press harmless. */
export function pay(fuelling) {
  const pane = {
    name: "pay",
    fuelling,
    fp: unpaid(fuelling)?.fp,
    key: wishKey(),
    quote: null,
    member: null,
    search: newSearch(),
    received: "",
    typing: false,
  };
  show(pane);
  return fetchQuote(pane);
}

async function fetchQuote(pane) {
  const query = pane.member ? `?member=${encodeURIComponent(pane.member.ref)}` : "";
  const quote = await order(`quote ${pane.fuelling}${query}`, () =>
    ask("GET", `/v1/fuellings/${encodeURIComponent(pane.fuelling)}/quote${query}`),
  );
  if (quote) pane.quote = quote;
  redraw();
}

function setMember(pane, member) {
  pane.member = member;
  pane.quote = null;
  redraw();
  fetchQuote(pane);
}

/** What is still to be paid; negative when a prepayment was larger. */
function due(quote) {
  return quote.payable_fen - quote.prepaid_fen;
}

export function payPane(pane) {
  const item = unpaid(pane.fuelling);
  if (item === null) return gone();
  return h(
    "div.pane.pay",
    { key: `pay ${pane.fuelling}` },
    h(
      "header",
      null,
      backButton(),
      h("span.gun.small", null, h("span.number", null, String(item.nozzle_number)), grade(item.grade_name)),
      h("span.what", null, h("b", null, `${litres(item.volume_ml)} L`), h("span.muted", null, `× ${unitPrice(item.unit_price_milli)}`)),
      h("span.muted.age", null, icon("clock"), lasting(now() - item.ended_ms)),
    ),
    h(
      "div.scroll",
      null,
      pane.search.open
        ? memberSearch(pane, (member) => setMember(pane, member))
        : [
            lines(pane.quote, item),
            memberChip(pane, pane.member ?? pane.quote?.member ?? null, (member) => setMember(pane, member)),
            pane.quote ? notApplied(pane.quote) : null,
          ],
    ),
    pane.quote && !pane.search.open ? tenders(pane, pane.quote) : null,
  );
}

function gone() {
  return h("div.pane", null, h("header", null, backButton(), h("b", null, t("paid"))), h("div.empty", null, icon("tick"), t("paid")));
}

function lines(quote, item) {
  const list = quote ? quote.list_amount_fen : item.amount_fen;
  return h(
    "dl.lines",
    null,
    line("list", t("list_amount"), yuan(list)),
    (quote?.applied ?? []).map((offer) => line(offer.offer, both(offer.text_zh, offer.text_en), `−${yuan(offer.amount_fen)}`, "less")),
    quote?.prepaid_fen ? line("prepaid", t("prepaid"), `−${yuan(quote.prepaid_fen)}`) : null,
    quote && due(quote) < 0
      ? line("due", t("give_back"), yuan(-due(quote)), "due back")
      : line("due", t("payable_amount"), quote ? yuan(due(quote)) : "…", "due"),
    quote?.points_earned ? line("points", t("points"), `+${quote.points_earned}`, "muted") : null,
  );
}

function notApplied(quote) {
  if (quote.rejected.length === 0 && !quote.next_step) return null;
  return h(
    "div.not-applied",
    null,
    quote.next_step ? h("p.next-step", null, icon("hint"), both(quote.next_step.text_zh, quote.next_step.text_en)) : null,
    quote.rejected.length > 0 ? h("h3", null, t("not_applied")) : null,
    h("ul", null, [...quote.rejected].sort(nearestFirst).map((offer) => h("li", { key: offer.offer }, both(offer.text_zh, offer.text_en)))),
  );
}

// Offers that more fuel or time would bring come first; the others nothing can change.
function nearestFirst(one, other) {
  return Number(one.missing === null) - Number(other.missing === null);
}

// --- tenders -------------------------------------------------------------------------------------

function tenders(pane, quote) {
  const toPay = due(quote);
  if (toPay <= 0) {
    return h("div.tenders", null, settleButton(pane, [], "go", "settle_prepaid", toPay < 0 ? `${label("give_back")} ¥${yuan(-toPay)}` : null));
  }
  const available = quote.member?.available_fen ?? 0;
  return h("div.tenders", null, pane.typing ? typing(pane, toPay) : notes(pane, toPay), change(pane, toPay), buttons(pane, toPay, available));
}

function buttons(pane, toPay, available) {
  const given = pane.received === "" ? toPay : fenOf(pane.received);
  const cash = { means: "cash", amount_fen: given };
  const stored = { means: "stored_value", amount_fen: Math.min(available, toPay) };
  const rest = { means: "cash", amount_fen: toPay - stored.amount_fen };
  return h(
    "div.pay-buttons",
    null,
    settleButton(pane, [cash], "go", "take_cash", `¥${yuan(toPay)}`, !(given >= toPay)),
    available >= toPay ? settleButton(pane, [stored], "pay", "take_stored", `¥${yuan(toPay)}`) : null,
    available > 0 && available < toPay
      ? settleButton(pane, [stored, rest], "pay", "take_both", `${yuan(available)}＋${yuan(toPay - available)}`)
      : null,
  );
}

function settleButton(pane, offers, kind, word, amount, off = false) {
  return h(
    "button.wide.settle",
    { key: word, type: "button", class: kind, disabled: !live() || off || busy("settle"), onclick: () => settle(pane, offers) },
    t(word),
    amount ? h("b.sum", null, amount) : null,
  );
}

async function settle(pane, offers) {
  const body = { tenders: offers };
  if (pane.member) body.member = pane.member.ref;
  const path = `/v1/fuellings/${encodeURIComponent(pane.fuelling)}/settle`;
  const sale = await order("settle", () => askOnce(path, body, pane.key), (error) => refused(pane, error));
  if (sale) showSale(sale, true);
}

function refused(pane, error) {
  // Nothing happened under this key, and the next press may wish for something else. Where it is
  // unsure, the key stays: pressing again brings the same sale.
  if (!error.unsure) pane.key = wishKey();
  fetchQuote(pane);
}

/** Notes that a customer may hand over for an amount: the next ten, fifty, hundred and two hundred. */
export function usualNotes(fen) {
  const sums = [1_000, 5_000, 10_000, 20_000, 50_000].map((note) => Math.ceil(fen / note) * note);
  return [...new Set(sums)].filter((sum) => sum > fen).slice(0, 3);
}

function notes(pane, toPay) {
  const choose = (received) => {
    pane.received = received;
    redraw();
  };
  return h(
    "div.notes",
    null,
    h("button", { type: "button", "aria-pressed": String(pane.received === ""), onclick: () => choose("") }, t("exact")),
    usualNotes(toPay).map((sum) => {
      const text = shortYuan(sum);
      return h("button", { key: text, type: "button", "aria-pressed": String(pane.received === text), onclick: () => choose(text) }, `¥${text}`);
    }),
    h(
      "button",
      {
        key: "other",
        type: "button",
        onclick: () => {
          pane.typing = true;
          choose("");
        },
      },
      t("other"),
    ),
  );
}

function typing(pane, toPay) {
  const press = (text) => {
    pane.received = text;
    redraw();
  };
  return h(
    "div.typing",
    null,
    typedFigure(t("received"), `¥${pane.received || yuan(toPay)}`, () => {
      pane.typing = false;
      press("");
    }),
    digits(pane.received, press, { point: true }),
  );
}

function change(pane, toPay) {
  if (pane.received === "") return null;
  const rest = fenOf(pane.received) - toPay;
  if (Number.isNaN(rest)) return null;
  return h("div.change", { class: rest < 0 ? "short" : "" }, t(rest < 0 ? "short" : "change"), h("b", null, `¥${yuan(Math.abs(rest))}`));
}

/** Digits typed on a keyboard while the pane is open are the cash received. */
export function typeCash(pane, key) {
  if (pane.quote === null || due(pane.quote) <= 0) return;
  pane.typing = true;
  if (key === "Backspace") pane.received = pane.received.slice(0, -1);
  else if (/^\d{0,6}(\.\d{0,2})?$/.test(pane.received + key)) pane.received += key;
  redraw();
}

/** Enter on a keyboard takes the cash. */
export function takeCash(pane) {
  if (pane.quote === null || busy("settle")) return;
  const toPay = due(pane.quote);
  if (toPay <= 0) {
    settle(pane, []);
    return;
  }
  const given = pane.received === "" ? toPay : fenOf(pane.received);
  if (given >= toPay) settle(pane, [{ means: "cash", amount_fen: given }]);
}
