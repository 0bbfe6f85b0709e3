// What a fuelling point looks like and what a touch does to it, by its state.

import { ask, askOnce } from "./link.js";
import { order, state } from "./state.js";

const FACES = {
  idle: { name: "idle", icon: "pump" },
  calling: { name: "calling", icon: "nozzle" },
  authorised: { name: "authorised", icon: "tick" },
  started: { name: "authorised", icon: "tick" },
  fuelling: { name: "fuelling", icon: "flow" },
  suspended_started: { name: "suspended", icon: "pause" },
  suspended_fuelling: { name: "suspended", icon: "pause" },
  closed: { name: "closed", icon: "lock" },
  inoperative: { name: "fault", icon: "triangle" },
  offline: { name: "offline", icon: "broken" },
};
const PAYABLE = { name: "payable", icon: "bill" };

/** Name and icon of a point's state; an idle point that is owed money shows that first. */
export function face(point) {
  if (point.state === "idle" && point.unpaid > 0) return PAYABLE;
  return FACES[point.state];
}

/** The nozzle in use: the lifted one, or the only one. */
export function activeNozzle(point) {
  const lifted = point.nozzles.find((nozzle) => nozzle.logical === point.lifted);
  return lifted ?? (point.nozzles.length === 1 ? point.nozzles[0] : null);
}

/** Whether fuel is released or flowing. */
export function engaged(point) {
  return ["authorised", "started", "fuelling", "suspended_started", "suspended_fuelling"].includes(point.state);
}

/** Whether the point could be authorised now. */
export function releasable(point) {
  return (point.state === "idle" || point.state === "calling") && point.blocked === null;
}

/** The one button on a point's card: what its state most likely asks for, or null. */
export function primaryAction(point) {
  switch (point.state) {
    case "calling":
      return { word: "authorise", kind: "go", off: point.blocked !== null };
    case "authorised":
    case "started":
      return { word: "cancel", kind: "quiet" };
    case "fuelling":
      return { word: "stop", kind: "halt" };
    case "suspended_started":
    case "suspended_fuelling":
      return { word: "resume", kind: "go" };
    case "idle":
      if (point.unpaid > 0) return { word: "pay", kind: "pay" };
      return point.blocked === null ? { word: "preset", kind: "quiet" } : null;
    default:
      return null;
  }
}

/** Release a point; `wish` may hold preset_amount_fen, preset_volume_ml, member. */
export function authorise(fp, wish = {}, refused = undefined) {
  return order(`authorise ${fp}`, () => command(fp, "authorise", wish), refused);
}

/** Ask what a fuelling that has not begun would cost, for the next best step. */
export function estimate(fp, wish) {
  return ask("POST", path(fp, "estimate"), wish).catch(() => null);
}

/** Release a point for cash taken before, `wish.prepaid_fen`: once for each key. */
export function takePrepayment(fp, wish, key, refused) {
  return order(`authorise ${fp}`, () => askOnce(path(fp, "authorise"), wish, key), refused);
}

export function stop(fp) {
  return order(`stop ${fp}`, () => command(fp, "stop"));
}

export function suspend(fp) {
  return order(`suspend ${fp}`, () => command(fp, "suspend"));
}

export function resume(fp) {
  return order(`resume ${fp}`, () => command(fp, "resume"));
}

export function stopAll() {
  return order("stop all", () => ask("POST", "/v1/stop-all"));
}

export function releaseStopAll() {
  return order("release", () => ask("POST", "/v1/stop-all/release"));
}

/** Release the point whose nozzle has been up longest. */
export function authoriseOldestCalling() {
  const calling = state.view.fuelling_points.filter((one) => one.state === "calling" && one.blocked === null);
  calling.sort((one, other) => one.since_ms - other.since_ms);
  if (calling.length > 0) authorise(calling[0].fp);
}

function command(fp, verb, body) {
  return ask("POST", path(fp, verb), body);
}

function path(fp, verb) {
  return `/v1/fuelling-points/${fp}/${verb}`;
}
