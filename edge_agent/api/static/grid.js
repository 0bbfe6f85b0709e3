// The grid of fuelling points: one card each.

import { h, icon } from "./dom.js";
import { grade, hose } from "./parts.js";
import { pay } from "./pay.js";
import { activeNozzle, authorise, engaged, face, primaryAction, resume, stop } from "./points.js";
import { busy, live, now, reason, show, state, unpaidOf } from "./state.js";
import { both, label, lasting, litres, shortYuan, t, unitPrice, yuan } from "./words.js";

// What the card or a banner tells already.
const UNTOLD = new Set(["fp_busy", "fp_closed", "stop_all", "storage_unavailable"]);

export function grid() {
  const points = state.view.fuelling_points;
  const columns = points.length <= 4 ? 2 : points.length <= 6 ? 3 : points.length <= 16 ? 4 : 5;
  const density = points.length > 8 ? "dense" : "roomy";
  return h(
    "section.grid",
    { class: `${density} columns-${columns}`, "aria-label": label("pump") },
    points.map(card),
  );
}

function card(point, index) {
  const { name, icon: sign } = face(point);
  const chosen = state.pane.name === "point" && state.pane.fp === point.fp;
  return h(
    "article.card",
    { key: `fp-${point.fp}`, class: `${name}${chosen ? " chosen" : ""}`, "data-fp": point.fp, "data-state": point.state },
    h(
      "button.open",
      {
        type: "button",
        disabled: !live(),
        "aria-label": `${label("pump")} ${point.fp}, ${label(name)}`,
        onclick: () => show({ name: "point", fp: point.fp }),
      },
      h(
        "span.head",
        null,
        h("span.face", null, icon(sign), t(name)),
        name === "idle" ? null : h("span.timer", null, lasting(now() - point.since_ms)),
      ),
      h("span.corner", null, index < 12 ? h("kbd", null, `F${index + 1}`) : null, both(`油机 ${point.fp}`, `Pump ${point.fp}`)),
      body(point),
      foot(point),
    ),
    action(point),
  );
}

function body(point) {
  if (engaged(point) || point.state === "calling") return inUse(point);
  const first = unpaidOf(point.fp)[0];
  if (first) return owed(first, point.unpaid);
  return h("span.body.hoses", null, point.nozzles.map((nozzle) => hose(nozzle)));
}

function inUse(point) {
  const nozzle = activeNozzle(point);
  const price = nozzle?.unit_price_milli ?? null;
  return h(
    "span.body",
    null,
    nozzle
      ? gun(nozzle.number, [grade(nozzle.grade_name), price === null ? null : h("span.price", null, unitPrice(price))])
      : gun(point.nozzles.map((one) => one.number).join("/"), []),
    point.state === "calling" ? null : point.state === "authorised" || point.state === "started" ? released(point) : figures(point),
  );
}

function owed(item, count) {
  const beside = count > 1 ? h("span.stacked", null, `+${count - 1}`) : h("span.price", null, unitPrice(item.unit_price_milli));
  return h("span.body", null, gun(item.nozzle_number, [grade(item.grade_name), beside]), figures(item));
}

function gun(number, beside) {
  return h("span.gun", null, h("span.number", null, String(number)), h("span.of", null, beside));
}

function figures({ amount_fen: amount, volume_ml: volume }) {
  return h(
    "span.figures",
    null,
    h("span.figure.amount", { class: amount >= 100_000 ? "long" : "" }, h("b", null, yuan(amount)), both("元", "¥")),
    h("span.figure.litres", null, h("b", null, litres(volume)), both("升", "L")),
  );
}

function released(point) {
  const { preset_amount_fen: amount, preset_volume_ml: volume } = point;
  if (amount === null && volume === null) return h("span.figures", null, h("span.limit", null, t("no_limit")));
  return h("span.figures", null, h("span.limit", null, t("preset"), h("b", null, amount === null ? `${litres(volume)} L` : `¥${shortYuan(amount)}`)));
}

function foot(point) {
  const notes = [];
  const { preset_amount_fen: amount, preset_volume_ml: volume } = point;
  const flowing = engaged(point) && point.state !== "authorised" && point.state !== "started";
  if (flowing && amount !== null) notes.push(h("span.note", { key: "preset" }, t("preset"), ` ¥${shortYuan(amount)}`));
  if (flowing && volume !== null) notes.push(h("span.note", { key: "preset" }, t("preset"), ` ${litres(volume)} L`));
  if (point.member) notes.push(h("span.note.member", { key: "member" }, icon("member"), point.member, point.tier_zh ? [" ", both(point.tier_zh, point.tier_en)] : null));
  if (point.priority) notes.push(h("span.note.priority", { key: "priority" }, icon("star"), t("priority")));
  if (point.plate) notes.push(h("span.note.plate", { key: "plate" }, point.plate));
  if (point.unpaid > 0 && point.state !== "idle") {
    notes.push(h("span.note.owed", { key: "owed" }, icon("bill"), both(`待付 ${point.unpaid}`, `${point.unpaid} to pay`)));
  }
  const telling = point.blocked && !UNTOLD.has(point.blocked) && !engaged(point);
  if (telling) notes.push(h("span.note.blocked", { key: "blocked" }, both(...reason(point.blocked))));
  else if (point.state === "authorised") notes.push(h("span.note", { key: "hint" }, t("lift_nozzle")));
  else if (point.state === "started") notes.push(h("span.note", { key: "hint" }, t("waiting_flow")));
  return h("span.foot", null, notes);
}

function action(point) {
  const wanted = primaryAction(point);
  if (wanted === null) return null;
  const { word, kind, off } = wanted;
  const doing = busy(`${ORDER_OF[word] ?? word} ${point.fp}`);
  return h(
    "button.act",
    { type: "button", class: kind, disabled: !live() || off || doing, onclick: () => act(word, point) },
    t(word),
  );
}

const ORDER_OF = { cancel: "stop" };

function act(word, point) {
  if (word === "authorise") authorise(point.fp);
  else if (word === "cancel" || word === "stop") stop(point.fp);
  else if (word === "resume") resume(point.fp);
  else if (word === "pay") pay(unpaidOf(point.fp)[0].fuelling_id);
  else show({ name: "point", fp: point.fp });
}
