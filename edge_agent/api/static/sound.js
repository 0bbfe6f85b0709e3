// A short chirp when a nozzle is lifted. Browsers allow sound only after the first touch.

import { state } from "./state.js";

const CHIRP_HZ = 880;
const CHIRP_S = 0.12;

let audio = null;
let calling = new Set();

export function listenForTouch() {
  window.addEventListener("pointerdown", () => {
    audio ??= new AudioContext();
  });
}

/** Chirp for every point that has begun to call since the last view. */
export function chirpForNew(view) {
  const present = new Set(view.fuelling_points.filter((point) => point.state === "calling").map((point) => point.fp));
  const fresh = [...present].some((fp) => !calling.has(fp));
  calling = present;
  if (fresh && audio !== null && state.sound === "on") chirp();
}

function chirp() {
  const tone = audio.createOscillator();
  const loudness = audio.createGain();
  const from = audio.currentTime;
  tone.frequency.value = CHIRP_HZ;
  loudness.gain.setValueAtTime(0.2, from);
  loudness.gain.exponentialRampToValueAtTime(0.001, from + CHIRP_S);
  tone.connect(loudness).connect(audio.destination);
  tone.start(from);
  tone.stop(from + CHIRP_S);
}
