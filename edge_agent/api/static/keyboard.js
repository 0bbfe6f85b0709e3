// The keyboard: F1 to F12 choose a pump, digits and Enter preset it, Space authorises, Esc goes back.

import { authoriseOldestCalling, stopAll } from "./points.js";
import { closePointDialog, releaseTyped, typePreset } from "./point_pane.js";
import { closeInner, settleChosen, typeCash } from "./pay.js";
import { leaveWallet } from "./top_up.js";
import { home, live, redraw, show, state } from "./state.js";

export function listenToKeys() {
  window.addEventListener("keydown", (event) => {
    if (!live() || state.enrolled !== true) return;
    if (handle(event)) event.preventDefault();
  });
  // A touched button must not keep the focus, or Enter would press it again.
  window.addEventListener("click", (event) => {
    const button = event.target.closest?.("button");
    if (button && event.detail > 0) button.blur();
  });
}

function handle(event) {
  if (event.ctrlKey && event.shiftKey && event.code === "KeyS") {
    stopAll();
    return true;
  }
  if (event.ctrlKey || event.altKey || event.metaKey) return false;
  if (/^F\d+$/.test(event.key)) return choosePoint(Number(event.key.slice(1)));
  if (event.key === "Escape") {
    if (state.pane.name === "pay" && closeInner(state.pane)) return true;
    if (state.pane.name === "point" && closePointDialog(state.pane)) return true;
    if (state.pane.name === "wallet") {
      leaveWallet(state.pane);
      return true;
    }
    if (state.pane.name === "point" && state.pane.search?.open) state.pane.search.open = false;
    else home();
    redraw();
    return true;
  }
  if (event.target instanceof HTMLInputElement) return false;
  // Space and Enter on a button that was reached with Tab press that button.
  if (event.target === document.body && event.key === " ") {
    authoriseOldestCalling();
    return true;
  }
  if (event.target === document.body && event.key === "Enter") return enter();
  if (/^[0-9.]$/.test(event.key) || event.key === "Backspace") return type(event.key);
  return false;
}

function choosePoint(number) {
  const point = state.view.fuelling_points[number - 1];
  if (point) show({ name: "point", fp: point.fp });
  return true;
}

function enter() {
  if (state.pane.name === "point") releaseTyped(state.pane);
  else if (state.pane.name === "pay") settleChosen(state.pane);
  else if (state.pane.name === "sale") home();
  else return false;
  return true;
}

function type(key) {
  if (state.pane.search?.open || state.pane.factor) return false;
  if (state.pane.name === "point") typePreset(state.pane, key);
  else if (state.pane.name === "pay") typeCash(state.pane, key);
  else return false;
  return true;
}
