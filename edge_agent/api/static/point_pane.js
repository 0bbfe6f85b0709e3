// One fuelling point: every order that it can be given.

import { h, icon } from "./dom.js";
import { nextStep } from "./explained.js";
import { needsSecondFactor, secondFactor } from "./factor.js";
import { digits, fenOf } from "./keypad.js";
import { wishKey } from "./link.js";
import { memberChip, memberSearch, newSearch } from "./member.js";
import { backButton, hose, line, typedFigure } from "./parts.js";
import { pay } from "./pay.js";
import { activeNozzle, authorise, engaged, estimate, face, releasable, resume, stop, suspend, takePrepayment } from "./points.js";
import { busy, home, live, now, point as pointOf, reason, redraw, state, unpaidOf } from "./state.js";
import { both, label, lasting, litres, shortYuan, t, yuan } from "./words.js";

const AMOUNTS_FEN = [10_000, 20_000, 30_000, 40_000, 50_000];
const VOLUMES_ML = [10_000, 20_000, 30_000, 40_000, 50_000];
const ESTIMATED_FEN = 10_000; // what the next best step is compared with
const DEFAULTS = { by: "amount", prepay: false, typed: "", typing: false, member: null, step: null, stepOf: "", factor: null, pending: null, odometer: null };

export function pointPane(pane) {
  const point = pointOf(pane.fp);
  if (point === null) return null;
  if (pane.search === undefined) Object.assign(pane, DEFAULTS, { search: newSearch(), key: wishKey() });
  const { name, icon: sign } = face(point);
  return h(
    "div.pane.point",
    { key: `point ${pane.fp}` },
    h(
      "header",
      { class: `tinted ${name}` },
      backButton(),
      h("span.face", null, icon(sign), t(name)),
      h("span.muted.age", null, both(`油机 ${point.fp}`, `Pump ${point.fp}`), h("span.timer", null, lasting(now() - point.since_ms))),
    ),
    h("div.scroll", null, hoses(point), engaged(point) ? underWay(point) : release(point, pane), owed(point)),
    engaged(point) ? running(point) : null,
  );
}

function hoses(point) {
  const active = activeNozzle(point);
  return h(
    "div.hose-row",
    null,
    point.nozzles.map((nozzle) => hose(nozzle, nozzle === active)),
  );
}

// --- under way -----------------------------------------------------------------------------------

function underWay(point) {
  const preset =
    point.preset_amount_fen !== null
      ? `¥${shortYuan(point.preset_amount_fen)}`
      : point.preset_volume_ml !== null
        ? `${litres(point.preset_volume_ml)} L`
        : null;
  return h(
    "div.under-way",
    null,
    h("span.figure.amount", null, h("b", null, yuan(point.amount_fen)), both("元", "¥")),
    h("span.figure.litres", null, h("b", null, litres(point.volume_ml)), both("升", "L")),
    h(
      "dl.lines",
      null,
      preset ? line("preset", t("preset"), preset) : null,
      point.member ? line("member", t("member"), point.member) : null,
      point.plate ? line("plate", t("plate"), point.plate) : null,
    ),
  );
}

function running(point) {
  const suspended = point.state.startsWith("suspended");
  const released = point.state === "authorised" || point.state === "started";
  return h(
    "div.pane-buttons",
    null,
    suspended ? orderButton("resume", "go", () => resume(point.fp), `resume ${point.fp}`) : null,
    point.state === "fuelling" ? orderButton("suspend", "quiet", () => suspend(point.fp), `suspend ${point.fp}`) : null,
    orderButton(released ? "cancel" : "stop", "halt", () => stop(point.fp), `stop ${point.fp}`),
  );
}

function orderButton(word, kind, onclick, name) {
  return h("button", { key: word, class: kind, type: "button", disabled: !live() || busy(name), onclick }, t(word));
}

// --- releasing -----------------------------------------------------------------------------------

function release(point, pane) {
  if (!releasable(point)) {
    const why = point.blocked ?? point.state;
    return h("p.why", null, icon("triangle"), both(...reason(why)));
  }
  if (pane.search.open) return memberSearch(pane, (member) => setMember(pane, member));
  askForStep(point, pane);
  return h(
    "div.release",
    { key: "release" },
    pane.step ? nextStep(pane.step, stepButton(point, pane)) : null,
    tabs(pane),
    pane.typing ? typed(point, pane) : choices(point, pane),
    memberChip(pane, pane.member, (member) => setMember(pane, member)),
  );
}

// The purchase that makes a litre cheapest is told before fuel flows, while it can still be chosen.
async function askForStep(point, pane) {
  const nozzle = activeNozzle(point);
  const asked = `${nozzle?.logical ?? ""} ${pane.member?.ref ?? ""} ${point.member ?? ""}`;
  if (pane.stepOf === asked || !live()) return;
  pane.stepOf = asked;
  pane.step = null;
  if (nozzle === null || nozzle.unit_price_milli === null) return;
  const wish = { nozzle: nozzle.logical, amount_fen: ESTIMATED_FEN };
  if (pane.member) wish.member = pane.member.ref;
  const found = await estimate(point.fp, wish);
  if (pane.stepOf !== asked) return;
  pane.step = found?.next_step ?? null;
  redraw();
}

function stepButton(point, pane) {
  const { preset_amount_fen: fen } = pane.step;
  return h(
    "button.quiet",
    { type: "button", id: "take-step", disabled: !live() || busy(`authorise ${point.fp}`), onclick: () => send(point, pane, { preset_amount_fen: fen }) },
    `¥${shortYuan(fen)}`,
  );
}

function setMember(pane, member) {
  pane.member = member;
  redraw();
}

function tabs(pane) {
  const set = (fields) => () => {
    Object.assign(pane, { typed: "", typing: false }, fields);
    redraw();
  };
  const tab = (word, chosen, fields) =>
    h("button", { key: word, type: "button", role: "tab", "aria-selected": String(chosen), onclick: set(fields) }, t(word));
  return h(
    "div.tabs",
    { role: "tablist" },
    tab("by_amount", pane.by === "amount" && !pane.prepay, { by: "amount", prepay: false }),
    tab("by_volume", pane.by === "volume", { by: "volume", prepay: false }),
    tab("prepay", pane.prepay, { by: "amount", prepay: true }),
  );
}

function choices(point, pane) {
  const sums = pane.by === "amount" ? AMOUNTS_FEN : VOLUMES_ML;
  const shut = !live() || busy(`authorise ${point.fp}`);
  return h(
    "div.choices",
    { class: pane.prepay ? "prepay" : "" },
    pane.prepay
      ? null
      : h(
          "button.choice.go.fill",
          { key: "full", type: "button", disabled: shut, onclick: () => send(point, pane, {}) },
          t("authorise_full"),
        ),
    sums.map((sum) =>
      h(
        "button.choice",
        { key: String(sum), type: "button", disabled: shut, onclick: () => send(point, pane, wish(pane, sum)) },
        h("b", null, pane.by === "amount" ? `¥${shortYuan(sum)}` : `${sum / 1000} L`),
        pane.prepay ? h("span.muted", null, t("take_cash")) : null,
      ),
    ),
    h(
      "button.choice",
      {
        key: "other",
        type: "button",
        onclick: () => {
          pane.typing = true;
          redraw();
        },
      },
      t("other"),
    ),
  );
}

function wish(pane, sum) {
  if (pane.prepay) return { prepaid_fen: sum };
  return pane.by === "amount" ? { preset_amount_fen: sum } : { preset_volume_ml: sum };
}

async function send(point, pane, body, second = null) {
  pane.pending = { ...body };
  if (pane.member) pane.pending.member = pane.member.ref;
  const wish = second ? { ...pane.pending, second } : pane.pending;
  const says = (error) => refused(pane, error);
  const begun = await (body.prepaid_fen ? takePrepayment(point.fp, wish, pane.key, says) : authorise(point.fp, wish, says));
  if (!begun) return;
  Object.assign(pane, { factor: null, odometer: null });
  if (state.pane === pane) home();
}

function refused(pane, error) {
  // While it is unsure whether the point was released, pressing again asks for the same release.
  if (!error.unsure) pane.key = wishKey();
  // A fleet may ask what the odometer shows, and who drives (row L2).
  if (error.code.startsWith("fleet_odometer")) pane.odometer = "";
  else needsSecondFactor(error, pane);
  redraw();
}

/** What lies over the pane until it is answered: what a fleet asks its driver. */
export function pointDialog(pane) {
  const point = pointOf(pane.fp);
  if (point === null) return null;
  if (pane.factor) return secondFactor(pane.factor, (second) => send(point, pane, pane.pending, second), () => giveUp(pane));
  if (typeof pane.odometer !== "string") return null;
  const press = (text) => {
    pane.odometer = text;
    redraw();
  };
  return h(
    "div.dialog",
    { key: "odometer", role: "dialog", "aria-modal": "true", "aria-label": label("odometer") },
    h(
      "div.sheet",
      null,
      typedFigure(t("odometer"), `${pane.odometer || "0"} km`, () => giveUp(pane)),
      digits(pane.odometer, press, { most: 7 }),
      h("button.wide.go", { type: "button", disabled: !live() || pane.odometer === "", onclick: () => sayOdometer(point, pane) }, t("confirm")),
    ),
  );
}

function sayOdometer(point, pane) {
  const km = Number(pane.odometer);
  pane.odometer = null;
  send(point, pane, { ...pane.pending, odometer_km: km });
}

function giveUp(pane) {
  Object.assign(pane, { factor: null, odometer: null, pending: null });
  redraw();
}

/** Esc: close what is open in the pane. Returns whether something was. */
export function closePointDialog(pane) {
  if (!pane.factor && typeof pane.odometer !== "string") return false;
  giveUp(pane);
  return true;
}

function typed(point, pane) {
  const press = (text) => {
    pane.typed = text;
    redraw();
  };
  const sum = pane.by === "amount" ? fenOf(pane.typed) : fenOf(pane.typed) * 10;
  const figure = pane.by === "amount" ? `¥${pane.typed || "0"}` : `${pane.typed || "0"} L`;
  const words = pane.prepay ? "take_cash" : "authorise";
  return h(
    "div.typing",
    null,
    typedFigure(t(pane.prepay ? "prepay" : pane.by === "amount" ? "by_amount" : "by_volume"), figure, () => {
      pane.typing = false;
      press("");
    }),
    digits(pane.typed, press, { point: true, most: 7 }),
    h(
      "button.wide.go",
      { type: "button", disabled: !live() || !(sum > 0) || busy(`authorise ${point.fp}`), onclick: () => send(point, pane, wish(pane, sum)) },
      t(words),
      h("b.sum", null, figure),
    ),
  );
}

/** Digits typed on a keyboard while a point is open are its preset. */
export function typePreset(pane, key) {
  const point = pointOf(pane.fp);
  if (point === null || !releasable(point)) return;
  if (typeof pane.odometer === "string") {
    pane.odometer = key === "Backspace" ? pane.odometer.slice(0, -1) : /^\d{0,7}$/.test(pane.odometer + key) ? pane.odometer + key : pane.odometer;
    redraw();
    return;
  }
  pane.typing = true;
  const before = pane.typed ?? "";
  if (key === "Backspace") pane.typed = before.slice(0, -1);
  else if (/^\d{0,5}(\.\d{0,2})?$/.test(before + key)) pane.typed = before + key;
  redraw();
}

/** Enter on a keyboard releases the point, with the preset that was typed. */
export function releaseTyped(pane) {
  const point = pointOf(pane.fp);
  if (point === null || !releasable(point)) return;
  if (typeof pane.odometer === "string") {
    if (pane.odometer !== "") sayOdometer(point, pane);
    return;
  }
  if (!pane.typed) {
    if (!pane.prepay) send(point, pane, {});
    return;
  }
  const sum = pane.by === "amount" ? fenOf(pane.typed) : fenOf(pane.typed) * 10;
  if (sum > 0) send(point, pane, wish(pane, sum));
}

function owed(point) {
  return unpaidOf(point.fp).map((item) =>
    h(
      "button.wide.pay",
      { key: `owed ${item.fuelling_id}`, type: "button", disabled: !live(), onclick: () => pay(item.fuelling_id) },
      icon("bill"),
      t("pay"),
      h("b.sum", null, `¥${yuan(item.amount_fen)}`),
    ),
  );
}
