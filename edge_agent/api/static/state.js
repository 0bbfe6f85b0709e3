// What the screen knows and where it stands. Whoever changes it asks for a redraw.

import { Refused, ask } from "./link.js";

const NOTICE_MS = 7_000;

export const state = {
  view: null, // the station, as the agent last told it
  received: 0, // when that was, on the monotonic clock
  lost: null, // wall time since when the agent is silent
  enrolled: true,
  demo: false,
  reasons: new Map(), // texts of codes
  pane: { name: "home", tab: "unpaid" },
  busy: new Set(), // orders under way, by name
  notice: null,
  releaseArmed: false,
  sales: null, // the last sales; null until they are here
  till: null, // what the policy lets the till do; null until it is here
  tillOf: undefined, // the policy that `till` was asked for under
  lending: null, // what may be spent here without headquarters, while it is away
  lang: remembered("lang", "zh"),
  size: remembered("size", "m"),
  sound: remembered("sound", "on"),
  topUp: remembered("topUp", ""), // the amount that was topped up last
};

let draw = () => {};
let drawing = false;

/** Name the function that draws the screen. */
export function drawWith(render) {
  draw = render;
}

/** Draw the screen soon, once for all changes until then. */
export function redraw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    draw();
  });
}

/** The agent's wall clock now. */
export function now() {
  return state.view === null ? Date.now() : state.view.at_ms + (performance.now() - state.received);
}

/** Whether buttons work: the agent is there and what is shown is true. */
export function live() {
  return state.view !== null && state.lost === null;
}

export function point(fp) {
  return state.view?.fuelling_points.find((one) => one.fp === fp) ?? null;
}

export function unpaid(fuelling) {
  return state.view?.unpaid.find((one) => one.fuelling_id === fuelling) ?? null;
}

/** What waits to be paid at a fuelling point, oldest first. */
export function unpaidOf(fp) {
  return state.view.unpaid.filter((one) => one.fp === fp);
}

/** Go to a pane. */
export function show(pane) {
  state.pane = pane;
  state.releaseArmed = false;
  redraw();
}

export function home(tab = "unpaid") {
  show({ name: "home", tab });
}

/** Say something for a few seconds, in both languages. */
export function say(zh, en, kind = "refused") {
  state.notice = { zh, en, kind, until: performance.now() + NOTICE_MS };
  redraw();
}

/** Keep a choice of the person at this screen. */
export function remember(name, value) {
  state[name] = value;
  localStorage.setItem(`edge-agent.${name}`, value);
  redraw();
}

function remembered(name, otherwise) {
  return localStorage.getItem(`edge-agent.${name}`) ?? otherwise;
}

/**
 * Carry an order out, once at a time by name, and say so when it is refused.
 * @param refused called with the reason, besides saying it
 * @returns what `work` returned, or undefined when it was refused or is under way already
 */
export async function order(name, work, refused = () => {}) {
  if (state.busy.has(name) || !live()) return undefined;
  state.notice = null;
  return lookUp(name, work, refused);
}

/** The same for what only looks something up: what was said before stays to be read. */
export async function lookUp(name, work, refused = () => {}) {
  if (state.busy.has(name) || !live()) return undefined;
  state.busy.add(name);
  redraw();
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.status === 401) state.enrolled = false;
    say(error.zh, error.en);
    refused(error);
    return undefined;
  } finally {
    state.busy.delete(name);
    redraw();
  }
}

export function busy(name) {
  return state.busy.has(name);
}

/** Text of a code in both languages. */
export function reason(code) {
  const known = state.reasons.get(code);
  return known ? [known.text_zh, known.text_en] : [code, code];
}

/** Fetch the last sales again. An old list is not shown meanwhile: it would move under a finger. */
export async function refreshSales() {
  state.sales = null;
  const sales = await order("sales", () => ask("GET", "/v1/sales?limit=40"));
  if (sales) state.sales = sales;
  redraw();
}

/** Ask what the policy lets the till do, whenever another one is in force. */
export async function refreshTill() {
  const { policy_version: version } = state.view;
  if (state.tillOf === version) return;
  state.tillOf = version;
  const till = await ask("GET", "/v1/till").catch(() => null);
  if (till === null) state.tillOf = undefined;
  else state.till = till;
  redraw();
}

/** Ask what this station may still spend, while headquarters is away. */
export async function refreshLending() {
  if (!live() || state.view.sync.connected) {
    state.lending = null;
    return;
  }
  const lending = await ask("GET", "/v1/lending").catch(() => null);
  if (lending !== null) state.lending = { ...lending, received: performance.now() };
  redraw();
}

/** Name of a good of the policy, in both languages. */
export function good(code) {
  const known = state.till?.goods.find((one) => one.good === code);
  return known ? [known.text_zh, known.text_en] : [code, code];
}
