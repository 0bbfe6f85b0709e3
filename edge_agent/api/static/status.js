// The station's health in full, and the keys of the keyboard.

import { h, icon } from "./dom.js";
import { backButton, line } from "./parts.js";
import { now, state } from "./state.js";
import { lasting, t, timeOfDay } from "./words.js";

export function statusPane() {
  const { view } = state;
  const { sync } = view;
  return h(
    "div.pane.status",
    { key: "status" },
    h("header", null, backButton(), h("b", null, t("status"))),
    h(
      "div.scroll",
      null,
      h(
        "dl.lines",
        null,
        line("hq", t("headquarters"), [mark(sync.connected), t(sync.connected ? "online" : "offline"), ` ${lasting(now() - sync.since_ms)}`]),
        line("waiting", t("waiting"), String(sync.waiting)),
        line("ledger", t("records"), `${sync.acked_seq} / ${sync.head_seq}`),
        line("storage", t("storage"), [mark(view.storage_ok), t(view.storage_ok ? "ok" : "full")]),
        line("clock", t("clock"), [mark(view.clock_trusted), t(view.clock_trusted ? "ok" : "trouble")]),
        view.cameras.map((camera) =>
          line(camera.camera, [t("cameras"), ` ${camera.camera}`], [mark(camera.health === "ok"), t(`camera_${camera.health}`), camera.last_plate ? ` ${camera.last_plate}` : ""]),
        ),
        line("prices", t("price_set"), view.price_set ?? "—"),
        line("policy", t("policy"), view.policy_version === null ? "—" : `v${view.policy_version}`),
        line("version", t("version"), view.version),
      ),
      h("h3", null, t("keys")),
      h(
        "dl.lines.keys",
        null,
        key("F1 – F12", "key_points"),
        key("0–9 ⏎", "key_preset"),
        key("Space", "key_space"),
        key("Esc", "key_back"),
        key("Ctrl ⇧ S", "key_stop"),
      ),
      h("p.muted", null, timeOfDay(view.at_ms)),
    ),
  );
}

function mark(good) {
  return h("span", { class: good ? "mark good" : "mark bad" }, icon(good ? "tick" : "cross"));
}

function key(keys, word) {
  return h("div.line", { key: word }, h("dt", null, h("kbd", null, keys)), h("dd", null, t(word)));
}
