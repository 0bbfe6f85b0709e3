// The pane that shows when nothing is chosen: what waits to be paid, and the last sales.

import { h, icon } from "./dom.js";
import { memberSearch, newSearch } from "./member.js";
import { grade } from "./parts.js";
import { pay } from "./pay.js";
import { showSale } from "./sale.js";
import { home, live, now, refreshSales, state } from "./state.js";
import { showWallet } from "./top_up.js";
import { lasting, litres, t, timeOfDay, yuan } from "./words.js";

const LATE_MS = 5 * 60_000;
const ORIGINS = { recovered: "recovered", offline: "found" };

export function homePane(pane) {
  const count = state.view.unpaid.length;
  const tab = (word, onclick, badge) =>
    h(
      "button",
      { key: word, type: "button", role: "tab", "aria-selected": String(pane.tab === word), onclick },
      t(word),
      badge ? h("span.badge", null, String(badge)) : null,
    );
  return h(
    "div.pane.home",
    { key: "home" },
    h(
      "div.tabs.main",
      { role: "tablist" },
      tab("unpaid", () => home("unpaid"), count),
      tab("sales", () => {
        home("sales");
        refreshSales();
      }),
      tab("members", () => home("members")),
    ),
    h("div.scroll", { key: pane.tab, class: pane.tab }, inner(pane)),
    pane.tab === "unpaid" && count > 1 ? total() : null,
  );
}

function inner(pane) {
  if (pane.tab === "unpaid") return unpaidList();
  if (pane.tab === "sales") return salesList();
  pane.search ??= { ...newSearch(), open: true };
  return memberSearch(pane, (member) => showWallet(member));
}

function unpaidList() {
  if (state.view.unpaid.length === 0) {
    return h("div.empty", null, icon("bill"), t("nothing_unpaid"), h("span.muted", null, t("nothing_unpaid_hint")));
  }
  return h("ul.rows", { id: "unpaid" }, state.view.unpaid.map(unpaidRow));
}

function total() {
  const sum = state.view.unpaid.reduce((fen, item) => fen + item.amount_fen, 0);
  return h("footer.total", null, t("total"), h("b.sum", null, `¥${yuan(sum)}`));
}

function unpaidRow(item) {
  const age = now() - item.ended_ms;
  return h(
    "li",
    { key: item.fuelling_id },
    h(
      "button.row",
      { type: "button", disabled: !live(), "data-fuelling": item.fuelling_id, onclick: () => pay(item.fuelling_id) },
      h("span.number", null, String(item.nozzle_number)),
      h(
        "span.middle",
        null,
        h("span.top", null, grade(item.grade_name), h("span", null, `${litres(item.volume_ml)} L`)),
        h(
          "span.under",
          null,
          h("span", { class: age > LATE_MS ? "late" : "muted" }, icon("clock"), lasting(age)),
          item.member ? h("span.note.member", null, icon("member"), item.member) : null,
          item.plate ? h("span.note.plate", null, item.plate) : null,
          item.prepaid_fen > 0 ? h("span.note", null, t("prepaid"), ` ¥${yuan(item.prepaid_fen)}`) : null,
          item.origin in ORIGINS ? h("span.note.origin", null, t(ORIGINS[item.origin])) : null,
        ),
      ),
      h("b.sum", null, `¥${yuan(item.amount_fen)}`),
    ),
  );
}

function salesList() {
  if (state.sales === null) return null;
  if (state.sales.length === 0) return h("div.empty", null, icon("receipt"), t("no_sales"));
  return h("ul.rows", { id: "sales" }, state.sales.map(saleRow));
}

function saleRow(sale) {
  return h(
    "li",
    { key: sale.sale_id },
    h(
      "button.row",
      { type: "button", disabled: !live(), "data-sale": sale.sale_id, class: sale.refunded ? "refunded" : "", onclick: () => showSale(sale, false) },
      h("span.number", null, String(sale.nozzle_number)),
      h(
        "span.middle",
        null,
        h("span.top", null, grade(`${sale.grade}#`), h("span", null, `${litres(sale.volume_ml)} L`)),
        h(
          "span.under",
          null,
          h("span.muted", null, timeOfDay(sale.at_ms)),
          [...new Set(sale.tenders.map((tender) => tender.means))].map((means) => h("span.note", { key: means }, t(means))),
          sale.refunded ? h("span.note.origin", { key: "refunded" }, t("refunded")) : null,
        ),
      ),
      h("b.sum", null, `¥${yuan(sale.payable_fen)}`),
    ),
  );
}
