// The grid of fuelling points: one card each.

import { h, icon } from "./dom.js";
import { grade, hose } from "./parts.js";
import { pay } from "./pay.js";
import { activeNozzle, authorise, engaged, face, primaryAction, resume, stop } from "./points.js";
import { busy, live, now, reason, show, state, unpaidOf } from "./state.js";
import { both, label, lasting, litres, shortYuan, t, unitPrice, yuan } from "./words.js";

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
      body(point),
      foot(point),
    ),
    action(point),
    h("span.corner", null, index < 12 ? h("kbd", null, `F${index + 1}`) : null, both(`油机 ${point.fp}`, `Pump ${point.fp}`)),
  );
}

function body(point) {
  const active = activeNozzle(point);
  if (engaged(point) || point.state === "calling") {
    return h("span.body", null, gun(active ?? point.nozzles[0], active === null ? point.nozzles : null), figures(point));
  }
  if (point.unpaid > 0) return owed(point);
  return h("span.body.hoses", null, point.nozzles.map((nozzle) => hose(nozzle)));
}

function gun(nozzle, several) {
  return h(
    "span.gun",
    null,
    h("span.number", null, several ? several.map((one) => one.number).join("·") : String(nozzle.number)),
    h(
      "span.of",
      null,
      several ? several.map((one) => grade(one.grade_name)) : grade(nozzle.grade_name),
      several || nozzle.unit_price_milli === null ? null : h("span.price", null, unitPrice(nozzle.unit_price_milli)),
    ),
  );
}

function figures(point) {
  if (point.state === "calling") return null;
  return h(
    "span.figures",
    null,
    h("span.figure.amount", null, h("b", null, yuan(point.amount_fen)), both("元", "¥")),
    h("span.figure.litres", null, h("b", null, litres(point.volume_ml)), both("升", "L")),
  );
}

function owed(point) {
  const [first, ...others] = unpaidOf(point.fp);
  if (!first) return h("span.body.hoses", null, point.nozzles.map((nozzle) => hose(nozzle)));
  return h(
    "span.body",
    null,
    h(
      "span.gun",
      null,
      h("span.number", null, String(first.nozzle_number)),
      h(
        "span.of",
        null,
        grade(first.grade_name),
        others.length > 0 ? h("span.stacked", null, `+${others.length}`) : h("span.price", null, unitPrice(first.unit_price_milli)),
      ),
    ),
    h(
      "span.figures",
      null,
      h("span.figure.amount", null, h("b", null, yuan(first.amount_fen)), both("元", "¥")),
      h("span.figure.litres", null, h("b", null, litres(first.volume_ml)), both("升", "L")),
    ),
  );
}

function foot(point) {
  const notes = [];
  if (point.preset_amount_fen !== null) notes.push(h("span.note", { key: "preset" }, t("preset"), ` ¥${shortYuan(point.preset_amount_fen)}`));
  if (point.preset_volume_ml !== null) notes.push(h("span.note", { key: "preset" }, t("preset"), ` ${litres(point.preset_volume_ml)} L`));
  if (point.member) notes.push(h("span.note.member", { key: "member" }, icon("member"), point.member));
  if (point.plate) notes.push(h("span.note.plate", { key: "plate" }, point.plate));
  if (point.unpaid > 0 && point.state !== "idle") {
    notes.push(h("span.note.owed", { key: "owed" }, icon("bill"), both(`待付 ${point.unpaid}`, `${point.unpaid} to pay`)));
  }
  const telling = point.blocked && !["fp_busy", "stop_all"].includes(point.blocked) && !engaged(point);
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
