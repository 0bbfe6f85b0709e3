// The attendants' screen: starts up, follows the station, draws.

import { h, icon, patch } from "./dom.js";
import { grid } from "./grid.js";
import { homePane } from "./home.js";
import { listenToKeys } from "./keyboard.js";
import { ask, follow } from "./link.js";
import { payDialog, payPane } from "./pay.js";
import { pointDialog, pointPane } from "./point_pane.js";
import { salePane } from "./sale.js";
import { chirpForNew, listenForTouch } from "./sound.js";
import { drawWith, redraw, refreshLending, refreshTill, say, state } from "./state.js";
import { statusPane } from "./status.js";
import { walletPane } from "./top_up.js";
import { banners, topbar } from "./topbar.js";
import { both, label, setOffset, t, timeOfDay } from "./words.js";

const PANES = { home: homePane, point: pointPane, pay: payPane, sale: salePane, status: statusPane, wallet: walletPane };

const LENDING_EVERY_MS = 10_000;

const root = document.getElementById("screen");

function draw() {
  document.documentElement.dataset.lang = state.lang;
  document.documentElement.dataset.size = state.size;
  document.body.dataset.lost = String(state.lost !== null);
  if (state.enrolled === false) patch(root, enrolment());
  else if (state.view === null) patch(root, h("div.cover", null, icon("pump"), t(state.lost === null ? "starting" : "lost_title")));
  else patch(root, [topbar(), banners(), h("main", null, grid(), h("aside", null, PANES[state.pane.name](state.pane), dialog())), notice(), lost()]);
}

// What has to be answered covers the pane alone: the forecourt goes on beside it.
function dialog() {
  if (state.pane.name === "pay") return payDialog(state.pane);
  return state.pane.name === "point" ? pointDialog(state.pane) : null;
}

function notice() {
  const { notice: said } = state;
  if (said === null || performance.now() > said.until) return null;
  const dismiss = () => {
    state.notice = null;
    redraw();
  };
  return h("div.notice", { key: "notice", role: "alert", class: said.kind, onclick: dismiss }, icon("triangle"), both(said.zh, said.en));
}

function lost() {
  if (state.lost === null) return null;
  return h(
    "div.lost",
    { key: "lost", role: "alertdialog", "aria-label": label("lost_title") },
    h("div", null, icon("broken"), h("h1", null, t("lost_title")), h("p.since", null, t("lost_since"), h("b", null, timeOfDay(state.lost))), h("p", null, t("lost_hint"))),
  );
}

// --- enrolment -----------------------------------------------------------------------------------

let code = "";

function enrolment() {
  const submit = async (event) => {
    event.preventDefault();
    try {
      await ask("POST", "/v1/session", { code });
      location.replace("/");
    } catch (error) {
      code = "";
      say(error.zh, error.en);
    }
  };
  return [
    h(
      "form.cover.enrol",
      { key: "enrol", onsubmit: submit },
      icon("lock"),
      h("h1", null, t("enrol_title")),
      h("p", null, t("enrol_hint")),
      h("input.typed", { name: "code", autocomplete: "off", maxlength: 12, "aria-label": label("enrol"), value: code, oninput: (event) => ((code = event.target.value), redraw()) }),
      h("button.wide.go", { type: "submit", disabled: code.length < 8 }, t("enrol")),
    ),
    notice(),
  ];
}

// What has to be done blinks, what flows moves: see grid.css.
function beat() {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  const { dataset } = document.documentElement;
  dataset.beat = dataset.beat === "1" ? "0" : "1";
}

// --- start ---------------------------------------------------------------------------------------

function onView(view) {
  state.view = view;
  setOffset(view.utc_offset_minutes);
  state.received = performance.now();
  state.lost = null;
  chirpForNew(view);
  refreshTill();
  if (!view.sync.connected && state.lending === null) refreshLending();
  redraw();
}

async function onLost(turnedAway) {
  state.lost ??= Date.now();
  redraw();
  if (!turnedAway) return;
  const session = await ask("GET", "/v1/session").catch(() => null);
  if (session && !session.enrolled) state.enrolled = false;
  redraw();
}

async function start() {
  drawWith(draw);
  redraw();
  listenToKeys();
  listenForTouch();
  setInterval(redraw, 1_000); // the clock and the ages
  setInterval(beat, 500);
  setInterval(refreshLending, LENDING_EVERY_MS);
  const session = await ask("GET", "/v1/session").catch(() => null);
  if (session && !session.enrolled) {
    state.enrolled = false;
    if (location.hash === "#code-wrong") say("登记码错误、已使用或已过期", "the code is wrong, used or expired");
    redraw();
    return;
  }
  const reasons = await ask("GET", "/v1/problems").catch(() => []);
  state.reasons = new Map(reasons.map((reason) => [reason.code, reason]));
  follow(onView, onLost);
}

start();
