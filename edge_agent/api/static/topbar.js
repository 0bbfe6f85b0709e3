// The top of the screen: the station, its health at a glance, the clock, and the stop.

import { h, icon } from "./dom.js";
import { releaseStopAll, stopAll } from "./points.js";
import { home, live, now, redraw, remember, show, state } from "./state.js";
import { ago, both, dateOf, label, lasting, t, timeOfDay, yuan } from "./words.js";

export function topbar() {
  const { view } = state;
  return h(
    "header.topbar",
    null,
    h("div.station", null, both(view.name_zh, view.name_en)),
    h(
      "button.health",
      { type: "button", "aria-label": label("status"), onclick: () => (state.pane.name === "status" ? home() : show({ name: "status" })) },
      light(view.sync.connected ? "good" : "bad", "cloud", view.sync.connected ? t("online") : t("offline")),
      view.cameras.length > 0 ? cameraLight(view.cameras) : null,
      view.sync.waiting_sales > 0 ? light("plain", "up", String(view.sync.waiting_sales), "waiting") : null,
      view.clock_trusted ? null : light("bad", "clock", t("clock"), "clock"),
      view.storage_ok ? null : light("bad", "disk", t("storage"), "disk"),
    ),
    h("div.clock", null, h("b", null, timeOfDay(now())), dateOf(now())),
    h(
      "div.choices-small",
      null,
      h("button.icon-button", { type: "button", id: "lang", onclick: () => remember("lang", state.lang === "zh" ? "en" : "zh") }, state.lang === "zh" ? "EN" : "中"),
      h("button.icon-button", { type: "button", id: "size", "aria-label": label("text_size"), onclick: nextSize }, icon("text")),
      h(
        "button.icon-button",
        { type: "button", id: "sound", "aria-label": label("sound"), "aria-pressed": String(state.sound === "on"), onclick: () => remember("sound", state.sound === "on" ? "off" : "on") },
        icon(state.sound === "on" ? "sound" : "mute"),
      ),
    ),
    h("button.stop-all", { type: "button", id: "stop-all", disabled: !live(), onclick: stopAll }, icon("hand"), t("stop_all")),
  );
}

function light(kind, sign, text, key = sign) {
  return h("span.light", { key, class: kind }, icon(sign), h("span", null, text));
}

function cameraLight(cameras) {
  const good = cameras.filter((camera) => camera.health === "ok").length;
  return light(good === cameras.length ? "good" : "bad", "camera", `${good}/${cameras.length}`);
}

function nextSize() {
  const sizes = ["s", "m", "l"];
  remember("size", sizes[(sizes.indexOf(state.size) + 1) % sizes.length]);
}

// --- banners -------------------------------------------------------------------------------------

/** What everybody at the screen has to know now, most urgent first. */
export function banners() {
  const { view } = state;
  const problems = view.problems.filter((problem) => problem.code !== "stop_all");
  return h(
    "div.banners",
    { role: "status" },
    view.stop_all ? stoppedBanner() : null,
    problems.map((problem) =>
      h("div.banner.alarm", { key: problem.code }, icon("triangle"), h("b", null, both(problem.text_zh, problem.text_en)), h("span.since", null, timeOfDay(problem.since_ms))),
    ),
    view.sync.connected ? null : offlineBanner(view.sync),
    view.demo ? h("div.banner.demo", { key: "demo" }, icon("beaker"), t("demo")) : null,
  );
}

function stoppedBanner() {
  const armed = state.releaseArmed;
  const touch = async () => {
    if (!armed) {
      state.releaseArmed = true;
      redraw();
      return;
    }
    await releaseStopAll();
    state.releaseArmed = false;
    redraw();
  };
  return h(
    "div.banner.stopped",
    { key: "stopped" },
    icon("hand"),
    h("b", null, t("stopped_title")),
    h("span", null, t("stopped_hint")),
    armed ? h("button.quiet", { key: "no", type: "button", onclick: () => disarm() }, t("back")) : null,
    h("button", { key: "release", id: "release", type: "button", class: armed ? "go" : "quiet", disabled: !live(), onclick: touch }, t(armed ? "release_confirm" : "release")),
  );
}

function disarm() {
  state.releaseArmed = false;
  redraw();
}

function offlineBanner(sync) {
  return h(
    "div.banner.offline-hq",
    { key: "offline", id: "offline" },
    icon("cloud-off"),
    h("b", null, t("offline_title"), h("span.timer", null, lasting(now() - sync.since_ms))),
    h("span", null, h("b", null, String(sync.waiting_sales)), " ", t("waiting_sales")),
    lending(),
    h("span.works", null, icon("tick"), h("span.tag", null, t("still_works")), t("still_works_list")),
    h("span.works-not", null, icon("cross"), h("span.tag", null, t("not_working")), t("not_working_list")),
  );
}

// How old the members' data are, and what of their accounts may still be spent here.
function lending() {
  const { lending: known } = state;
  if (known === null) return null;
  const ageMs = known.cache_age_s * 1000 + (performance.now() - known.received);
  return [
    h("span", { key: "cache" }, t("known_since"), " ", h("b", { id: "cache-age" }, ago(ageMs))),
    h("span", { key: "left", id: "leased" }, t("leased_left"), " ", h("b.sum", null, `¥${yuan(known.balance_fen)}`)),
  ];
}
