// A member's wallet, and topping it up: the amount, who confirms it, the result.

import { h, icon } from "./dom.js";
import { factorForm, factorOf, newFactor, wipe } from "./factor.js";
import { ask, askOnce, wishKey } from "./link.js";
import { memberChip } from "./member.js";
import { backButton } from "./parts.js";
import { planAgain } from "./pay.js";
import { busy, home, live, lookUp, order, redraw, remember, show, state } from "./state.js";
import { both, shortYuan, t, yuan } from "./words.js";
import { greeting, progress, walletLines } from "./wallet.js";

const MEANS = ["cash", "bank_card", "wallet"];

/** Show what a member has; `back` is the pane to return to. */
export async function showWallet(member, back = null) {
  const pane = { name: "wallet", member, back, wallet: back?.quote?.wallet ?? null, amount: null, means: "cash", reference: "", factor: null, key: wishKey(), done: null };
  show(pane);
  const path = `/v1/members/${encodeURIComponent(member.ref)}/wallet`;
  const wallet = await lookUp(`wallet ${member.ref}`, () => ask("GET", path));
  if (wallet) pane.wallet = wallet;
  redraw();
}

/** Go back to where the wallet was opened from. */
export function leaveWallet(pane) {
  if (pane.back === null) {
    home(pane.done ? "unpaid" : "members");
    return;
  }
  show(pane.back);
  if (pane.back.name === "pay") planAgain(pane.back);
}

export function walletPane(pane) {
  const { wallet } = pane;
  const { member } = pane;
  return h(
    "div.pane.wallet",
    { key: `wallet ${member.ref}` },
    h("header", null, backButton(() => leaveWallet(pane)), h("b", null, t("wallet_title"))),
    h(
      "div.scroll",
      null,
      memberChip({ search: { open: false } }, { ...member, available_fen: wallet?.balance_here_fen ?? member.available_fen }, null),
      pane.done ? done(pane) : null,
      wallet && pane.amount === null ? [greeting(wallet), progress(wallet), walletLines(wallet)] : null,
      pane.amount !== null && !pane.done ? confirming(pane) : null,
    ),
    footer(pane),
  );
}

function footer(pane) {
  if (pane.done) return h("div.pane-buttons", null, h("button.go", { type: "button", key: "close", onclick: () => leaveWallet(pane) }, t(pane.back ? "back_to_bill" : "close")));
  if (pane.amount !== null) return confirmButton(pane);
  const choices = state.till?.top_up.amounts_fen ?? [];
  if (pane.member.available_fen === null || choices.length === 0) return null;
  return h("div.top-up", { id: "top-up" }, h("h3", null, t("top_up")), h("div.choices", null, lastFirst(choices).map((fen) => amountButton(pane, fen))));
}

// The amount that was taken last comes first: most customers repeat it (row V11).
function lastFirst(choices) {
  const last = Number(state.topUp);
  return choices.includes(last) ? [last, ...choices.filter((fen) => fen !== last)] : choices;
}

function amountButton(pane, fen) {
  const again = fen === Number(state.topUp);
  return h(
    "button.choice",
    {
      key: String(fen),
      type: "button",
      "data-fen": String(fen),
      disabled: !live(),
      onclick: () => {
        pane.amount = fen;
        pane.factor = newFactor(state.till.top_up.confirm);
        redraw();
      },
    },
    h("b", null, `¥${shortYuan(fen)}`),
    again ? h("span.muted", null, t("as_last_time")) : null,
  );
}

function confirming(pane) {
  const choose = (means) => () => {
    pane.means = means;
    redraw();
  };
  return h(
    "div.confirming",
    { key: "confirming" },
    h("div.tabs", { role: "tablist" }, MEANS.map((means) => h("button", { key: means, type: "button", role: "tab", "aria-selected": String(means === pane.means), onclick: choose(means) }, t(means)))),
    pane.means === "cash" ? null : referenceField(pane),
    pane.member.shown
      ? h("p.proved", { key: "proved" }, icon("shield"), t("code_was_shown"))
      : [h("h3", { key: "by" }, t("confirmed_by")), factorForm(pane.factor, () => topUp(pane))],
  );
}

function referenceField(pane) {
  return h(
    "label.reference",
    { key: "reference" },
    t(`${pane.means}_reference`),
    h("input.typed", {
      type: "text",
      autocomplete: "off",
      maxlength: 64,
      value: pane.reference,
      oninput: (event) => {
        pane.reference = event.target.value.replace(/[^A-Za-z0-9 ._:/#-]/g, "").trimStart();
        redraw();
      },
    }),
  );
}

function ready(pane) {
  return live() && (pane.member.shown || factorOf(pane.factor) !== null) && (pane.means === "cash" || pane.reference !== "") && !busy("top up");
}

function confirmButton(pane) {
  const giveUp = () => {
    Object.assign(pane, { amount: null, factor: null });
    redraw();
  };
  return h(
    "div.pane-buttons",
    null,
    h("button.quiet", { type: "button", key: "back", onclick: giveUp }, t("back")),
    h("button.go", { type: "button", key: "confirm", disabled: !ready(pane), onclick: () => topUp(pane) }, t("top_up"), h("b.sum", null, `¥${shortYuan(pane.amount)}`)),
  );
}

async function topUp(pane) {
  if (!ready(pane)) return;
  const second = factorOf(pane.factor);
  const body = { member: pane.member.ref, amount_fen: pane.amount, means: pane.means, reference: pane.means === "cash" ? "" : pane.reference };
  if (second) body.second = second;
  wipe(pane.factor);
  const done = await order("top up", () => askOnce("/v1/top-ups", body, pane.key), (error) => {
    if (!error.unsure) pane.key = wishKey();
    pane.member.shown = false; // what a code proved once it may not prove again
  });
  if (!done) return;
  remember("topUp", String(done.amount_fen));
  Object.assign(pane, { done, wallet: done.wallet, factor: null });
  redraw();
}

function done(pane) {
  return h(
    "div.done",
    { key: "done" },
    h("span", null, icon("tick"), t("topped_up"), h("b.sum", null, `¥${yuan(pane.done.amount_fen)}`)),
    h("span.now", null, t("balance"), h("b.sum", null, `¥${yuan(pane.done.wallet.balance_here_fen)}`)),
  );
}
