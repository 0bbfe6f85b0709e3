// How a fuelling is paid: one means, or several parts and one means that takes what they leave.

import { h, icon } from "./dom.js";
import { due } from "./explained.js";
import { digits, fenOf } from "./keypad.js";
import { onEnter, typedFigure } from "./parts.js";
import { redraw, state } from "./state.js";
import { label, pair, shortYuan, both, t, yuan } from "./words.js";

const BY_TERMINAL = new Set(["bank_card", "wallet"]);
const MEANS = ["stored_value", "cash", "bank_card", "wallet"];

/**
 * Take the plan over while nobody chose otherwise.
 * @returns whether the price has to be asked for again, since it depends on the means
 */
export function adopted(pane, quote) {
  if (pane.main !== null) return false;
  const plan = quote.plan.filter((tender) => tender.means !== "points");
  const last = plan.pop();
  pane.main = last?.means ?? "cash";
  pane.parts = plan;
  const known = quote.payable_by.find((one) => one.means === pane.main);
  return plan.length > 0 || (known !== undefined && known.payable_fen !== quote.payable_fen);
}

/** What the parts pay, points apart. */
export function paidOtherwise(pane) {
  return pane.parts.reduce((sum, part) => sum + part.amount_fen, 0);
}

/** What the parts leave to the main means. */
export function resting(pane) {
  return due(pane.quote) - paidOtherwise(pane);
}

/** Whether cash takes what the others leave: then notes are counted. */
export function hasCash(pane) {
  return pane.main === "cash" && resting(pane) > 0;
}

/** The tenders as they are chosen, or null while something is missing. */
export function offers(pane) {
  const { quote } = pane;
  const rest = resting(pane);
  if (rest < 0 || [...pane.parts, rest > 0 ? { means: pane.main } : { means: "cash" }].some((one) => BY_TERMINAL.has(one.means) && !pane.references[one.means])) return null;
  const points = quote.points_pay_fen > 0 ? [{ means: "points", amount_fen: quote.points_pay_fen }] : [];
  const parts = pane.parts.map((part) => ({ ...part, ...reference(pane, part.means) }));
  return rest > 0 ? lastOf(pane, rest, [...points, ...parts]) : [...points, ...parts];
}

function lastOf(pane, rest, before) {
  if (pane.main !== "cash") return [...before, { means: pane.main, amount_fen: null, ...reference(pane, pane.main) }];
  const given = pane.received === "" ? rest : fenOf(pane.received);
  return given >= rest ? [...before, { means: "cash", amount_fen: given }] : null;
}

function reference(pane, means) {
  return BY_TERMINAL.has(means) ? { reference: pane.references[means] } : {};
}

/** What the member's account may pay: what is set aside here, or more where HQ can be asked. */
function storedLimit(pane) {
  const { wallet } = pane.quote;
  if (!wallet) return 0;
  const mayAsk = state.view.sync.connected && pane.beyond !== false;
  return mayAsk ? Math.max(wallet.balance_here_fen, wallet.balance_known_fen ?? 0) : wallet.balance_here_fen;
}

function choose(pane, means, changed) {
  const toPay = due(pane.quote);
  const limit = storedLimit(pane);
  pane.chosen = true;
  pane.parts = pane.parts.filter((part) => part.split);
  if (means === "stored_value" && limit < toPay - paidOtherwise(pane)) {
    // It does not suffice: it pays its part, and cash the rest.
    pane.parts = [{ means, amount_fen: limit }];
    pane.main = "cash";
  } else {
    pane.parts = pane.parts.filter((part) => part.means !== means);
    pane.main = means;
  }
  changed();
}

/** The foot of the pay pane. */
export function tenderPanel(pane, quote, { changed, settleButton, enter }) {
  const rest = resting(pane);
  const chosen = offers(pane);
  return h(
    "div.tenders",
    null,
    partChips(pane, changed),
    meansTabs(pane, quote, changed),
    rest > 0 ? detail(pane, rest, enter) : null,
    pane.parts.filter((part) => BY_TERMINAL.has(part.means)).map((part) => referenceField(pane, part.means, enter)),
    settleButton(words(pane, rest), sums(pane, rest), chosen === null),
  );
}

function partChips(pane, changed) {
  if (pane.parts.length === 0) return null;
  const drop = (part) => () => {
    pane.parts = pane.parts.filter((one) => one !== part);
    changed();
  };
  return h(
    "div.parts",
    { key: "parts" },
    pane.parts.map((part) =>
      h("span.part", { key: part.means }, t(part.means), h("b.sum", null, `¥${yuan(part.amount_fen)}`), h("button.icon-button", { type: "button", "aria-label": label("remove"), onclick: drop(part) }, icon("cross"))),
    ),
  );
}

function meansTabs(pane, quote, changed) {
  const dearest = Math.max(...quote.payable_by.map((one) => one.payable_fen));
  const less = new Map(quote.payable_by.map((one) => [one.means, dearest - one.payable_fen]));
  const offered = MEANS.filter((means) => means !== "stored_value" || storedLimit(pane) > 0);
  return h(
    "div.tabs.means",
    { key: "means", role: "tablist", "aria-label": label("pay") },
    offered.map((means) =>
      h(
        "button",
        { key: means, type: "button", role: "tab", "data-means": means, "aria-selected": String(means === pane.main), onclick: () => choose(pane, means, changed) },
        t(means),
        less.get(means) > 0 ? h("b.cheaper", null, `−${yuan(less.get(means))}`) : null,
      ),
    ),
    h("button.split-open", { key: "split", type: "button", "aria-label": label("split"), onclick: () => openSplit(pane, offered) }, icon("split"), t("split")),
  );
}

function openSplit(pane, offered) {
  const choices = offered.filter((means) => means !== pane.main);
  const means = choices.includes("cash") ? "cash" : choices[0];
  pane.split = { choices, means, text: "", fen: () => fenOf(pane.split.text) };
  pane.sub = "split";
  redraw();
}

function detail(pane, rest, enter) {
  if (pane.main === "cash") return [pane.typing ? typing(pane, rest) : notes(pane, rest), change(pane, rest)];
  if (BY_TERMINAL.has(pane.main)) return referenceField(pane, pane.main, enter);
  const { wallet } = pane.quote;
  const here = wallet.balance_here_fen;
  return h(
    "p.balance-after",
    { key: "balance" },
    t("balance"),
    h("b.sum", null, `¥${yuan(here)}`),
    here < rest ? h("span.note", null, t("asks_hq")) : [icon("forward"), h("b.sum", null, `¥${yuan(here - rest)}`)],
  );
}

function referenceField(pane, means, enter) {
  return h(
    "label.reference",
    { key: `reference ${means}` },
    t(`${means}_reference`),
    h("input.typed", {
      type: "text",
      autocomplete: "off",
      maxlength: 64,
      autofocus: true,
      value: pane.references[means] ?? "",
      oninput: (event) => {
        pane.references[means] = event.target.value.replace(/[^A-Za-z0-9 ._:/#-]/g, "").trimStart();
        redraw();
      },
      onkeydown: onEnter(enter),
    }),
  );
}

function words(pane, rest) {
  const means = [...pane.parts.map((part) => part.means), ...(rest > 0 ? [pane.main] : [])];
  if (means.length === 1) return t(`take_${means[0]}`);
  return both(means.map((one) => pair(one)[0]).join("＋"), means.map((one) => pair(one)[1]).join(" + "));
}

function sums(pane, rest) {
  const amounts = [...pane.parts.map((part) => part.amount_fen), ...(rest > 0 ? [rest] : [])];
  return amounts.length === 1 ? `¥${yuan(amounts[0])}` : amounts.map(yuan).join("＋");
}

// --- cash ----------------------------------------------------------------------------------------

/** Notes that a customer may hand over for an amount: the next ten, fifty, hundred and two hundred. */
export function usualNotes(fen) {
  const sums = [1_000, 5_000, 10_000, 20_000, 50_000].map((note) => Math.ceil(fen / note) * note);
  return [...new Set(sums)].filter((sum) => sum > fen).slice(0, 3);
}

function notes(pane, toPay) {
  const take = (received) => {
    pane.received = received;
    redraw();
  };
  return h(
    "div.notes",
    { key: "notes" },
    h("button", { type: "button", "aria-pressed": String(pane.received === ""), onclick: () => take("") }, t("exact")),
    usualNotes(toPay).map((sum) => {
      const text = shortYuan(sum);
      return h("button", { key: text, type: "button", "aria-pressed": String(pane.received === text), onclick: () => take(text) }, `¥${text}`);
    }),
    h(
      "button",
      {
        key: "other",
        type: "button",
        onclick: () => {
          pane.typing = true;
          take("");
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
    { key: "typing" },
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
  return h("div.change", { key: "change", class: rest < 0 ? "short" : "" }, t(rest < 0 ? "short" : "change"), h("b", null, `¥${yuan(Math.abs(rest))}`));
}
