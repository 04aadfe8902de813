/**
 * Lemo's tracker for web pages: recommendations, impressions, clicks and other events.
 * docs/tracker.md describes it. It needs nothing else.
 */

const MOST_TOGETHER = 100;
const MOST_BYTES = 60000; // browsers take 64 kB of requests that outlive their page
const MOST_WAITING = 1000;
const BATCH_MS = 1000;
const VISIBLE_MS = 1000;
const LONGEST_PAUSE_MS = 60000;

export class Lemo {
  #options;
  #base;
  #store;
  #waiting = [];
  #underWay = new Set();
  #timer;
  #failures = 0;
  #shown = new Set();
  #watched = new Map();
  #observer;

  constructor(options) {
    for (const name of ["url", "key", "scenario", "userId"])
      if (!options[name]) throw new TypeError("Lemo needs the option " + name);
    this.#options = options;
    this.#base = options.url.replace(/\/+$/, "") + "/v1/scenarios/" + encodeURIComponent(options.scenario) + "/";
    this.#store = "lemo:" + options.scenario;
    try {
      this.#waiting = JSON.parse(sessionStorage.getItem(this.#store)) || [];
    } catch {
      // Storage is blocked: what waits lives as long as the page.
    }
    this.#observer = new IntersectionObserver((entries) => entries.forEach((entry) => this.#see(entry)), {
      threshold: 0.5,
    });
    document.addEventListener("visibilitychange", () => this.#visibility());
    addEventListener("pagehide", () => this.flush());
    if (this.#waiting.length) this.#schedule(0);
  }

  /** The best items for the user; `wishes` as of POST .../recommendations. Rejects with an Error. */
  recommend(wishes) {
    return this.#ask("recommendations", { user_id: this.#options.userId, ...wishes });
  }

  /** The items most similar to `item_ids`; `wishes` as of POST .../similar. Rejects with an Error. */
  similar(wishes) {
    return this.#ask("similar", wishes);
  }

  /**
   * Reports an impression when half of the element was visible for a second, once for each request and item, and each
   * click on it. Returns a function that ends this.
   */
  watch(element, item) {
    const click = () => this.track("click", item.item_id, item);
    this.#watched.set(element, { item, timer: 0 });
    this.#observer.observe(element);
    element.addEventListener("click", click);
    return () => {
      clearTimeout(this.#watched.get(element)?.timer);
      this.#watched.delete(element);
      this.#observer.unobserve(element);
      element.removeEventListener("click", click);
    };
  }

  /** Reports an event, such as a purchase with its `value`. It is sent within a second, or when the page is left. */
  track(action, itemId, { request_id, position, value, attributes } = {}) {
    const random = crypto.getRandomValues(new Uint32Array(4));
    this.#waiting.push({
      event_id: Array.from(random, (part) => part.toString(16).padStart(8, "0")).join(""),
      user_id: this.#options.userId,
      item_id: itemId,
      action,
      timestamp: Date.now(),
      request_id,
      position,
      value,
      attributes,
    });
    const lost = this.#waiting.splice(0, Math.max(0, this.#waiting.length - MOST_WAITING)).length;
    if (lost) this.#complain(lost + " events found no place");
    this.#keep();
    this.#schedule(this.#failures ? undefined : BATCH_MS);
  }

  /** Sends what waits. An event that is sent again has the same id, and counts once. */
  async flush() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const events = this.#waiting.filter((each) => !this.#underWay.has(each)).slice(0, MOST_TOGETHER);
    while (events.length > 1 && JSON.stringify(events).length > MOST_BYTES / 3) events.length >>= 1;
    if (!events.length) return;
    events.forEach((each) => this.#underWay.add(each));
    let pause = Math.min(LONGEST_PAUSE_MS, BATCH_MS * 2 ** this.#failures);
    try {
      const answer = await this.#post("events", { events });
      if (answer.ok || (answer.status < 500 && ![408, 429].includes(answer.status))) {
        this.#failures = 0;
        this.#waiting = this.#waiting.filter((each) => !events.includes(each));
        this.#keep();
        if (this.#waiting.length) this.#schedule(0);
        const said = await answer.json();
        if (!answer.ok) this.#complain(said.detail);
        for (const each of said.rejected || []) this.#complain(events[each.index].action + ": " + each.reason);
        return;
      }
      pause = Math.max(pause, 1000 * (Number(answer.headers.get("Retry-After")) || 0));
    } catch {
      // The network is away, or the page is left: the events wait.
    } finally {
      events.forEach((each) => this.#underWay.delete(each));
    }
    this.#failures += 1;
    this.#schedule(pause);
  }

  async #ask(what, body) {
    const answer = await this.#post(what, body);
    const said = await answer.json();
    if (!answer.ok) throw new Error("Lemo: " + said.detail);
    return said;
  }

  #post(what, body) {
    return fetch(this.#base + what, {
      method: "POST",
      headers: { Authorization: "Bearer " + this.#options.key, "Content-Type": "application/json" },
      body: JSON.stringify(body),
      keepalive: what === "events",
    });
  }

  #schedule(milliseconds) {
    if (milliseconds !== undefined && this.#timer === undefined)
      this.#timer = setTimeout(() => this.flush(), milliseconds);
  }

  #see({ target, intersectionRatio }) {
    const watched = this.#watched.get(target);
    if (!watched) return;
    clearTimeout(watched.timer);
    const { item } = watched;
    const name = item.request_id + " " + item.item_id;
    if (intersectionRatio < 0.5 || document.hidden || this.#shown.has(name)) return;
    watched.timer = setTimeout(() => {
      if (this.#shown.has(name)) return;
      this.#shown.add(name);
      this.track("impression", item.item_id, item);
    }, VISIBLE_MS);
  }

  #visibility() {
    for (const [element, watched] of this.#watched) {
      clearTimeout(watched.timer);
      // Observed anew, it tells what is visible now.
      this.#observer.unobserve(element);
      this.#observer.observe(element);
    }
    if (document.hidden) this.flush();
  }

  #keep() {
    try {
      sessionStorage.setItem(this.#store, JSON.stringify(this.#waiting));
    } catch {
      // As above.
    }
  }

  #complain(text) {
    (this.#options.onError || console.warn)("Lemo: " + text);
  }
}
