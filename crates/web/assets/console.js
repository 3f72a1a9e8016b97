// What pages can do in the browser beyond what HTML does by itself. Everything here is an addition: each page reads and
// each form works without it.

const MINUTE = 60, HOUR = 3600, DAY = 86400;

/** A span of seconds in words, as the server writes it (`words::ago`). */
function ago(seconds) {
  const ahead = seconds < 0;
  const span = Math.abs(seconds);
  if (span < 5) return "just now";
  const [count, unit] =
    span < MINUTE ? [span, "s"]
    : span < HOUR ? [span / MINUTE, "min"]
    : span < DAY ? [span / HOUR, "h"]
    : span < 60 * DAY ? [span / DAY, "day"]
    : span < 730 * DAY ? [span / (30.44 * DAY), "month"]
    : [span / (365.25 * DAY), "year"];
  const whole = Math.floor(count);
  const words = unit.length > 3 || unit === "day" ? `${whole} ${unit}${whole === 1 ? "" : "s"}` : `${whole} ${unit}`;
  return ahead ? `in ${words}` : `${words} ago`;
}

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** Bytes in words, as the server writes them (`words::bytes`). */
function bytes(count) {
  let unit = 0;
  while (count >= 1000 && unit < UNITS.length - 1) {
    count /= 1000;
    unit += 1;
  }
  return `${unit === 0 || count >= 100 ? Math.round(count) : count.toFixed(1)} ${UNITS[unit]}`;
}

function icon(name) {
  const sprite = document.querySelector('meta[name="nave-icons"]').content;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${sprite}#${name}`);
  svg.append(use);
  return svg;
}

function button(label, name, classes) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = classes;
  made.title = label;
  made.setAttribute("aria-label", label);
  made.append(icon(name));
  return made;
}

// Times: "2 min ago" stays true, and the exact one is told in the reader's own time zone.

class NaveTime extends HTMLElement {
  static all = new Set();

  connectedCallback() {
    NaveTime.all.add(this);
    this.tell();
  }

  disconnectedCallback() {
    NaveTime.all.delete(this);
  }

  tell() {
    const time = this.querySelector("time");
    if (!time) return;
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.valueOf())) return;
    const local = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
    if (time.title !== local) time.title = local;
    const words = ago((Date.now() - at) / 1000);
    if (time.textContent !== words) time.textContent = words;
  }
}

setInterval(() => {
  if (!document.hidden) NaveTime.all.forEach((time) => time.tell());
}, 5000);

/** A time by the reader's clock, with its zone: `2026-12-01 14:00 GMT+1`. */
function clock(at) {
  const two = (number) => String(number).padStart(2, "0");
  const seconds = at.getSeconds() ? `:${two(at.getSeconds())}` : "";
  const zone = new Intl.DateTimeFormat("en", { timeZoneName: "short" }).formatToParts(at).find((part) => part.type === "timeZoneName");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}${seconds} ${zone?.value ?? ""}`.trim();
}

// A time to the second, by the reader's clock

class NaveClock extends HTMLElement {
  static observedAttributes = ["at"];

  connectedCallback() {
    this.tell();
  }

  attributeChangedCallback() {
    if (this.isConnected) this.tell();
  }

  tell() {
    const at = new Date(this.getAttribute("at"));
    if (Number.isNaN(at.valueOf())) return;
    const whole = clock(at);
    if (this.hasAttribute("short")) this.title = whole;
    this.textContent = this.hasAttribute("short") ? at.toLocaleTimeString("en-GB") : whole;
  }
}

// A time to fill in: typed by the reader's clock. By how much that is ahead of UTC at that time goes with it, in minutes;
// without that, the server takes the time for UTC, as the hint says.

class NaveZone extends HTMLElement {
  connectedCallback() {
    if (this.ready) return;
    this.ready = true;
    const input = this.querySelector("input");
    const hint = this.querySelector(".hint");
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (!input?.form || !zone) return;
    if (hint) hint.textContent = hint.textContent.replace("In UTC", `In your time zone, ${zone}`);
    // What the hub has filled in is in UTC; what somebody has picked comes back as it was.
    const at = this.getAttribute("at");
    if (at && input.value === at) {
      const here = new Date(`${at}Z`);
      input.value = new Date(here.getTime() - here.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
    }
    input.form.addEventListener("formdata", ({ formData }) => {
      const ahead = (new Date(`${input.value}Z`) - new Date(input.value)) / 60000;
      if (Number.isFinite(ahead)) formData.set(`${input.name}_ahead`, String(Math.round(ahead)));
    });
  }
}

// Copying

class NaveCopy extends HTMLElement {
  connectedCallback() {
    if (this.ready) return;
    this.ready = true;
    this.addEventListener("click", (event) => {
      const pressed = event.target.closest("button");
      if (pressed) this.copy(pressed);
    });
  }

  async copy(pressed) {
    const source = this.querySelector("[data-copy]");
    const text = source.dataset.copy || source.textContent.trim();
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const selection = getSelection();
      selection.selectAllChildren(source);
      toast("info", "Selected. Press Ctrl+C to copy.");
      return;
    }
    const use = pressed.querySelector("use");
    const before = use.getAttribute("href");
    use.setAttribute("href", before.replace(/#.*/, "#check"));
    say("Copied");
    setTimeout(() => use.setAttribute("href", before), 1600);
  }
}

// Messages

function region() {
  return document.getElementById("toasts");
}

/** Tells those who listen rather than look. */
function say(words) {
  const spoken = document.getElementById("spoken");
  if (spoken) spoken.textContent = words;
}

function toast(tone, words) {
  if (!region()) return;
  const made = document.createElement("nave-toast");
  made.className = "toast";
  const mark = icon(tone === "bad" ? "fail" : tone === "good" ? "pass" : "info");
  mark.classList.add(`tone-${tone}`);
  const text = document.createElement("div");
  text.textContent = words;
  made.append(mark, text);
  region().append(made);
}

class NaveToast extends HTMLElement {
  connectedCallback() {
    if (this.ready) return;
    this.ready = true;
    const close = button("Dismiss", "close", "button plain small bare");
    close.addEventListener("click", () => this.remove());
    this.append(close);
    const leave = () => {
      this.timer = setTimeout(() => this.remove(), 8000);
    };
    this.addEventListener("pointerenter", () => clearTimeout(this.timer));
    this.addEventListener("pointerleave", leave);
    if (!this.hasAttribute("stays")) leave();
  }
}

// Light and dark

class NaveTheme extends HTMLElement {
  connectedCallback() {
    if (this.ready) return;
    this.ready = true;
    this.setAttribute("role", "group");
    this.setAttribute("aria-label", "Colours");
    for (const [theme, label, name] of [
      ["", "As the system has it", "auto"],
      ["light", "Light", "light"],
      ["dark", "Dark", "dark"],
    ]) {
      const choice = button(label, name, "");
      choice.dataset.theme = theme;
      choice.addEventListener("click", () => this.choose(theme));
      this.append(choice);
    }
    this.show();
  }

  choose(theme) {
    const age = theme ? 31536000 : 0;
    document.cookie = `nave-theme=${theme}; Path=/; Max-Age=${age}; SameSite=Lax; Secure`;
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    this.show();
  }

  show() {
    const now = document.documentElement.dataset.theme ?? "";
    for (const choice of this.children) {
      choice.setAttribute("aria-pressed", String(choice.dataset.theme === now));
    }
  }
}

// Live: the hub says what changed, the page asks again for the parts that show it. Notices that come close together
// are told as one, and none while nobody looks.

/** The topics that some part of the page waits for. */
function topicsOfPage() {
  const triggers = [...document.querySelectorAll("[hx-trigger]")].map((part) => part.getAttribute("hx-trigger"));
  return triggers.flatMap((trigger) => trigger.match(/(?<=nave:)\w+/g) ?? []).join(" ");
}

const TOGETHER = 1000;
const LONGEST_WAIT = 30000;

class NaveLive extends HTMLElement {
  connectedCallback() {
    this.topics = new Set();
    this.wait = 0;
    this.last = null;
    this.told = 0;
    this.seen = () => !document.hidden && this.tell();
    document.addEventListener("visibilitychange", this.seen);
    this.gone = () => this.source?.close();
    addEventListener("pagehide", this.gone);
    this.back = (event) => event.persisted && this.open(true);
    addEventListener("pageshow", this.back);
    // Where things happen fast, some have happened since the page was made.
    this.open(this.hasAttribute("catch-up"));
  }

  disconnectedCallback() {
    this.source?.close();
    clearTimeout(this.retry);
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.seen);
    removeEventListener("pagehide", this.gone);
    removeEventListener("pageshow", this.back);
  }

  open(again) {
    this.source?.close();
    const address = new URL(this.getAttribute("src"), document.baseURI);
    if (this.last) address.searchParams.set("after", this.last);
    const source = new EventSource(address);
    this.source = source;
    source.addEventListener("open", () => {
      this.show("live", "Live");
      this.wait = 0;
      // What was told meanwhile is lost; the parts of the page are asked for once more.
      if (again) this.hear(topicsOfPage());
    });
    source.addEventListener("changed", (event) => {
      if (event.lastEventId) this.last = event.lastEventId;
      this.hear(event.data);
    });
    // Whoever is not signed in any more is sent to sign in, and comes back here.
    source.addEventListener("ended", () => {
      source.close();
      // Whoever signs out is on the way to another page already.
      setTimeout(() => location.reload(), leaving ? 5000 : 0);
    });
    source.addEventListener("error", () => {
      source.close();
      this.show("waiting", "Reconnecting");
      // Many pages lose the same hub at once: they must not all come back at the same moment.
      this.wait = Math.min(this.wait * 2 || 1000, LONGEST_WAIT);
      clearTimeout(this.retry);
      this.retry = setTimeout(() => this.open(true), this.wait * (0.5 + Math.random()));
    });
  }

  show(state, words) {
    this.setAttribute("state", state);
    if (this.textContent !== words) this.textContent = words;
  }

  hear(topics) {
    topics.split(" ").filter(Boolean).forEach((topic) => this.topics.add(topic));
    if (this.timer || document.hidden) return;
    const rest = Math.max(0, this.told + TOGETHER - performance.now());
    this.timer = setTimeout(() => this.tell(), rest);
  }

  tell() {
    clearTimeout(this.timer);
    this.timer = null;
    if (!this.topics.size) return;
    const topics = [...this.topics];
    this.topics.clear();
    this.told = performance.now();
    for (const topic of topics) {
      document.body.dispatchEvent(new CustomEvent(`nave:${topic}`));
    }
  }
}

// How fast a count of bytes grows, and how it did

const KEPT = 30;
const counts = new Map();

class NaveRate extends HTMLElement {
  static all = new Set();

  connectedCallback() {
    NaveRate.all.add(this);
    this.note();
  }

  disconnectedCallback() {
    NaveRate.all.delete(this);
  }

  note() {
    const name = this.getAttribute("of");
    const now = performance.now();
    const count = Number(this.getAttribute("bytes"));
    const before = counts.get(name) ?? { at: now, count, rates: [] };
    const seconds = (now - before.at) / 1000;
    const rates = seconds > 0.2 ? [...before.rates, Math.max(0, count - before.count) / seconds].slice(-KEPT) : before.rates;
    if (seconds > 0.2 || !counts.has(name)) counts.set(name, { at: now, count, rates });
    this.draw(rates);
  }

  draw(rates) {
    this.replaceChildren();
    if (!rates.length) {
      this.textContent = "–";
      return;
    }
    const top = Math.max(...rates, 1);
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("class", "spark p2");
    svg.setAttribute("viewBox", `0 0 ${KEPT - 1} 10`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
    const first = KEPT - rates.length;
    line.setAttribute("points", rates.map((rate, at) => `${first + at},${(9.5 - (rate / top) * 9).toFixed(2)}`).join(" "));
    line.setAttribute("fill", "none");
    line.setAttribute("stroke", "currentColor");
    line.setAttribute("stroke-width", "1.5");
    line.setAttribute("vector-effect", "non-scaling-stroke");
    svg.append(line);
    this.append(svg, `${bytes(rates.at(-1))}/s`);
  }
}

// A count that stands still is told, too, so that looking goes by the clock and not by changes.
setInterval(() => {
  if (!document.hidden) NaveRate.all.forEach((rate) => rate.note());
}, 2000);

// Passwords: how hard this one would be to guess, roughly; the hub decides

class NaveStrength extends HTMLElement {
  connectedCallback() {
    const input = document.getElementById(this.getAttribute("for"));
    const bars = this.querySelector(".strength");
    const words = this.querySelector(".hint");
    const first = words.textContent;
    input?.addEventListener("input", () => {
      const level = strength(input.value);
      bars.dataset.level = String(level);
      words.textContent = [first, "Easy to guess.", "Could be harder to guess.", "Good.", "Very good."][level];
    });
  }
}

function strength(password) {
  if (!password) return 0;
  const kinds = [/[a-z]/, /[A-Z]/, /[0-9]/, /[^a-zA-Z0-9]/].filter((kind) => kind.test(password)).length;
  const spread = new Set(password).size;
  const score = Math.min(password.length, spread * 2) * (1 + kinds * 0.15);
  return password.length < 10 || score < 13 ? 1 : score < 18 ? 2 : score < 26 ? 3 : 4;
}

// Who had something when: whatever piece is pointed at or has the focus is told in words below the picture

class NaveStrip extends HTMLElement {
  connectedCallback() {
    if (this.ready) return;
    this.ready = true;
    for (const event of ["focusin", "pointerover"]) this.addEventListener(event, ({ target }) => this.tell(target.closest("a")));
    for (const event of ["focusout", "pointerleave"]) this.addEventListener(event, () => this.tell(null));
  }

  tell(piece) {
    const output = this.querySelector("output");
    if (output) output.textContent = piece?.getAttribute("aria-label") ?? "";
    for (const other of this.querySelectorAll("a")) {
      other.classList.toggle("on", Boolean(piece) && other.dataset.of === piece.dataset.of);
    }
  }
}

// A log that follows: it stays at its end by itself, as the style sheet has it, and does not grow for ever

const MOST_LINES = 3000;

class NaveLog extends HTMLElement {
  connectedCallback() {
    this.watch = new MutationObserver(() => this.shorten());
    this.watch.observe(this, { childList: true, subtree: true });
  }

  disconnectedCallback() {
    this.watch.disconnect();
  }

  shorten() {
    const lines = this.querySelectorAll(".log-line");
    if (lines.length) this.querySelector(".log-none")?.remove();
    // Whoever reads further up keeps what is there.
    if (lines.length <= MOST_LINES || this.scrollTop < -4) return;
    const first = lines[lines.length - MOST_LINES / 2];
    while (first.previousSibling) first.previousSibling.remove();
    const gone = document.createElement("a");
    const address = new URL(location);
    address.searchParams.set("before", first.id.slice(1));
    gone.href = address;
    gone.className = "button small plain older";
    gone.textContent = "Older lines";
    first.before(gone);
  }
}

for (const [name, element] of [
  ["nave-log", NaveLog],
  ["nave-time", NaveTime],
  ["nave-clock", NaveClock],
  ["nave-zone", NaveZone],
  ["nave-copy", NaveCopy],
  ["nave-toast", NaveToast],
  ["nave-theme", NaveTheme],
  ["nave-live", NaveLive],
  ["nave-rate", NaveRate],
  ["nave-strength", NaveStrength],
  ["nave-strip", NaveStrip],
]) {
  customElements.define(name, element);
}

// Dialogs open as popovers without scripts; with them they are modal, so that focus stays inside.

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[popovertarget]");
  const dialog = opener && document.getElementById(opener.getAttribute("popovertarget"));
  if (!(dialog instanceof HTMLDialogElement)) return;
  event.preventDefault();
  dialog.removeAttribute("popover");
  if (dialog.open) dialog.close();
  else dialog.showModal();
});

document.addEventListener("pointerdown", (event) => {
  // A press beside an open dialog shuts it.
  if (event.target instanceof HTMLDialogElement && event.target.open) {
    const box = event.target.getBoundingClientRect();
    const inside = event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
    if (!inside) event.target.close();
  }
});

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const search = document.querySelector("[data-search]");
    if (search) {
      event.preventDefault();
      search.focus();
      search.select();
    }
  }
});

// A form that is on its way is not sent twice.
let leaving = false;
document.addEventListener("submit", (event) => {
  if (event.defaultPrevented || event.target.method !== "post") return;
  leaving = true;
  const pressed = event.submitter;
  if (pressed) setTimeout(() => (pressed.disabled = true));
});
addEventListener("pageshow", (event) => {
  if (event.persisted) document.querySelectorAll("button:disabled").forEach((pressed) => (pressed.disabled = false));
});

// A form that came back stays as it is, with what is wrong with it, whatever happens elsewhere meanwhile.
document.addEventListener("htmx:before:request", (event) => {
  const part = event.detail.ctx?.sourceElement;
  if (part?.getAttribute("hx-trigger")?.includes("nave:") && part.querySelector("[aria-invalid], .note.bad[role=alert]")) event.preventDefault();
});

document.addEventListener("htmx:response:error", (event) => {
  const status = event.detail.ctx?.response?.status;
  toast("bad", `This could not be brought up to date (${status}). Reload the page to try again.`);
});
