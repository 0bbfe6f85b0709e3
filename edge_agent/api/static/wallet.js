// What a member is and has: badge and greeting, balance, points, coupons, progress, what expires.

import { h, icon } from "./dom.js";
import { memberChip } from "./member.js";
import { line } from "./parts.js";
import { state } from "./state.js";
import { ago, both, label, t, yuan } from "./words.js";

/** The member of a pay pane, with what matters while paying. */
export function memberCard(pane, member, wallet, { onChange, onTopUp }) {
  const chip = memberChip(pane, member, onChange);
  if (member === null || wallet === null) return chip;
  return h(
    "div.member-card",
    { key: "member-card" },
    chip,
    greeting(wallet),
    wallet.locked === null ? null : h("p.why", { key: "locked" }, icon("lock"), t("locked")),
    progress(wallet),
    h(
      "button.quiet.has",
      { key: "has", type: "button", id: "wallet", onclick: onTopUp },
      h("span", null, t("points"), h("b.sum", null, String(wallet.points_here))),
      h("span", null, t("coupons"), h("b.sum", null, String(wallet.coupons.length))),
      wallet.low_balance ? h("span.low", null, icon("up"), t("top_up_low")) : h("span", null, icon("up"), t("top_up")),
    ),
    wallet.expiring.slice(0, 2).map((one) => h("p.expiring", { key: `${one.what} ${one.serial ?? one.expires_ms}` }, icon("clock"), both(one.text_zh, one.text_en))),
    age(wallet),
  );
}

export function greeting(wallet) {
  return wallet.greeting_zh === null ? null : h("p.greeting", { key: "greeting" }, icon("member"), both(wallet.greeting_zh, wallet.greeting_en));
}

/** What is missing to keep the tier, or for the next one. */
export function progress(wallet) {
  if (wallet.progress_zh === null) return null;
  return h("p.progress", { key: "progress" }, icon("stairs"), both(wallet.progress_zh, wallet.progress_en));
}

/** How old what is shown may be, while headquarters is away. */
function age(wallet) {
  if (state.view.sync.connected) return null;
  return h("p.muted.age", { key: "age" }, icon("cloud-off"), t("known_since"), " ", ago(wallet.cache_age_s * 1000));
}

/** All that a member has, line by line. */
export function walletLines(wallet) {
  return [
    h(
      "dl.lines",
      { key: "wallet-lines" },
      line("here", t("balance"), `¥${yuan(wallet.balance_here_fen)}`, "large"),
      wallet.balance_known_fen === null ? null : line("known", t("balance_all"), `¥${yuan(wallet.balance_known_fen)}`, "muted"),
      line("points", t("points"), `${wallet.points_here}${wallet.points_value_fen > 0 ? ` = ¥${yuan(wallet.points_value_fen)}` : ""}`),
      wallet.points_known > wallet.points_here ? line("points-all", t("points_all"), String(wallet.points_known), "muted") : null,
      wallet.coupons.map((one) => line(one.serial, [icon("ticket"), both(one.text_zh, one.text_en)], "")),
    ),
    wallet.expiring.map((one) => h("p.expiring", { key: `${one.what} ${one.serial ?? one.expires_ms}` }, icon("clock"), both(one.text_zh, one.text_en))),
    age(wallet),
  ];
}

/**
 * What will be lost within days: staff have to say so before they go on (row P14).
 * @param redeemable the points that could be used at once, or null
 * @param answered called with whether to use them
 */
export function expiryWarning(wallet, redeemable, answered) {
  const within = state.till?.warn_days ?? 3;
  const urgent = wallet.expiring.filter((one) => one.days <= within);
  if (urgent.length === 0) return null;
  return h(
    "div.dialog",
    { key: "expiring", role: "alertdialog", "aria-modal": "true", "aria-label": label("expires_soon") },
    h(
      "div.sheet",
      null,
      h("header", null, icon("clock"), h("h2", null, t("expires_soon"))),
      h("ul.warnings", null, urgent.map((one) => h("li", { key: `${one.what} ${one.serial ?? one.expires_ms}` }, icon(one.what === "points" ? "star" : "ticket"), both(one.text_zh, one.text_en)))),
      h(
        "div.pane-buttons",
        null,
        h("button.quiet", { type: "button", key: "told", onclick: () => answered(false) }, t("told")),
        redeemable && urgent.some((one) => one.what === "points")
          ? h("button.go", { type: "button", key: "use", onclick: () => answered(true) }, t("use_points"), h("b.sum", null, `−¥${yuan(redeemable.amount_fen)}`))
          : null,
      ),
    ),
  );
}
