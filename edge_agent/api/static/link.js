// The wire to the agent: its live view by server-sent events, and orders by POST.

export const SILENCE_MS = 12_000; // more than two heartbeats
const ANSWER_WITHIN_MS = 15_000;
const RETRY_MS = 1_000;
const TRIES = 3;

/** An order that was refused, with the reason in both languages. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.code);
    this.status = status;
    this.code = problem.code;
    this.zh = problem.text_zh;
    this.en = problem.text_en;
  }

  /** Whether nobody knows if the order was carried out: no answer came, or the agent broke down. */
  get unsure() {
    return this.status === 0 || this.status >= 500;
  }
}

/** Ask the agent; returns the decoded answer, or throws Refused. */
export async function ask(method, path, body, key) {
  const headers = { "X-Edge-Agent": "screen" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (key) headers["Idempotency-Key"] = key;
  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
  } catch {
    throw new Refused(0, {
      code: "unreachable",
      text_zh: "本机服务没有应答，请再试一次",
      text_en: "the agent did not answer; try again",
    });
  }
  const type = response.headers.get("content-type") ?? "";
  if (!response.ok) {
    const problem = type.includes("json") ? await response.json() : null;
    throw new Refused(response.status, problem ?? { code: `http_${response.status}`, text_zh: "请求失败", text_en: "the request failed" });
  }
  if (response.status === 204) return null;
  return type.includes("json") ? response.json() : response.text();
}

/** Move money: while it is unsure whether it moved, ask again under the same key, which is harmless. */
export async function askOnce(path, body, key) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask("POST", path, body, key);
    } catch (error) {
      if (!(error instanceof Refused) || !error.unsure || tries === TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

/** A key for one wish of a person: the same wish sent twice happens once. */
export function wishKey() {
  // Not randomUUID, which browsers offer on secure origins only.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Follow the station. Reconnects for ever.
 * @param onView called with each view
 * @param onLost called whenever the agent has fallen silent or turned this screen away
 */
export function follow(onView, onLost) {
  let source = null;
  let lastHeard = 0;

  const open = () => {
    lastHeard = performance.now();
    source = new EventSource("/v1/events");
    source.addEventListener("station", (event) => {
      lastHeard = performance.now();
      onView(JSON.parse(event.data));
    });
    source.addEventListener("beat", () => {
      lastHeard = performance.now();
    });
    // A broken line is tried again by the browser itself, a refusal is not.
    source.onerror = () => onLost(source.readyState === EventSource.CLOSED);
  };

  open();
  setInterval(() => {
    const silent = performance.now() - lastHeard > SILENCE_MS;
    if (!silent && source.readyState !== EventSource.CLOSED) return;
    if (silent) onLost(false);
    source.close();
    open();
  }, RETRY_MS);
}
