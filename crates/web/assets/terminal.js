// <nave-terminal>: a TCP service in the page. `socket` is where its bytes are, `library` and `fit` are xterm.js and its
// addon. Binary messages are the service's bytes; text from the hub says how the connection is, text to it says how many
// bytes more were shown, so that a service that talks faster than a browser draws is held back.

const PIECE = 16384;
const SCROLLBACK = 10000;
/** How many shown bytes are told at once. */
const TOLD_TOGETHER = 32768;

// The library writes styles into <style> elements and style attributes. The page's policy lets neither in, and need not:
// a style sheet that a script makes, and a style that it sets on an element, are the script's own doing.

const make = Document.prototype.createElement.bind(document);

/** What the library takes for a <style>: an element without a meaning, whose text is a style sheet of the document. */
function styleElement() {
  const stand = make("template");
  const sheet = new CSSStyleSheet();
  let text = "";
  document.adoptedStyleSheets.push(sheet);
  Object.defineProperty(stand, "textContent", {
    get: () => text,
    set: (to) => {
      text = to;
      sheet.replaceSync(to);
    },
  });
  stand.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((other) => other !== sheet);
    Element.prototype.remove.call(stand);
  };
  return stand;
}

function createElement(name, options) {
  if (name === "style") return styleElement();
  const made = make(name, options);
  if (name === "span") {
    made.setAttribute = (key, value) => {
      if (key === "style") made.style.cssText = value;
      else Element.prototype.setAttribute.call(made, key, value);
    };
  }
  return made;
}

// It takes some elements from the document that it is told and some from the page's own. This page has no other scripts that
// make such elements.
document.createElement = createElement;

/** The sixteen colours, for each background: readable on it. */
const COLOURS = {
  light: ["#24292f", "#b3261e", "#136f39", "#7d5600", "#0b57a4", "#8a2f8f", "#0b6b74", "#59636e", "#57606a", "#c62828", "#18803f", "#8a6100", "#1668bd", "#a03da6", "#0e7a85", "#3b434b"],
  dark: ["#3b444d", "#f28b82", "#7fd492", "#e6c263", "#7cb7ff", "#d7a1e8", "#6fd3d8", "#c9d1d9", "#76818c", "#ffa49c", "#9be8ab", "#f5d78a", "#a3ceff", "#e6bdf2", "#9be9ec", "#f4f7fa"],
};
const NAMES = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white", "brightBlack", "brightRed", "brightGreen", "brightYellow", "brightBlue", "brightMagenta", "brightCyan", "brightWhite"];

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function element(name, className, text) {
  const made = make(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

class NaveTerminal extends HTMLElement {
  connectedCallback() {
    if (this.ready) return;
    this.ready = true;
    this.build();
    this.start();
  }

  disconnectedCallback() {
    this.socket?.close();
    this.watched?.forEach((stop) => stop());
  }

  build() {
    this.replaceChildren();
    const bar = element("div", "terminal-bar");
    this.state = element("p", "terminal-state");
    this.state.setAttribute("role", "status");
    this.dot = element("span", "dot");
    this.words = element("span", "", "Connecting");
    this.state.append(this.dot, this.words);
    const button = (words, classes, pressed) => {
      const made = element("button", `button small ${classes}`, words);
      made.type = "button";
      made.addEventListener("click", pressed);
      return made;
    };
    this.again = button("Connect again", "primary", () => this.connect());
    this.again.hidden = true;
    this.copies = button("Copy", "", () => this.copy());
    this.copies.title = "Copies what is selected. Ctrl+Shift+V pastes.";
    const saves = button("Save", "", () => this.save());
    saves.title = "Saves what was shown, as text";
    const buttons = element("div", "actions");
    buttons.append(this.again, this.copies, saves);
    bar.append(this.state, buttons);
    this.screen = element("div", "terminal-screen");
    this.append(bar, this.screen);
  }

  async start() {
    let Terminal, FitAddon;
    try {
      [{ Terminal }, { FitAddon }] = await Promise.all([import(this.getAttribute("library")), import(this.getAttribute("fit"))]);
    } catch {
      this.show("bad", "The terminal could not be loaded. Reload the page.");
      return;
    }
    if (!this.isConnected) return;
    const style = getComputedStyle(this.screen);
    this.terminal = new Terminal({
      scrollback: SCROLLBACK,
      fontFamily: style.fontFamily,
      fontSize: parseFloat(style.fontSize),
      minimumContrastRatio: 4.5,
      screenReaderMode: true,
      cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
      theme: this.theme(),
    });
    this.fit = new FitAddon();
    this.terminal.loadAddon(this.fit);
    this.terminal.open(this.screen);
    this.terminal.textarea.setAttribute("aria-label", this.getAttribute("label"));
    this.terminal.attachCustomKeyEventHandler((event) => this.key(event));
    this.terminal.onData((text) => this.send(new TextEncoder().encode(text)));
    this.terminal.onBinary((text) => this.send(Uint8Array.from(text, (byte) => byte.charCodeAt(0))));
    this.terminal.onSelectionChange(() => (this.copies.disabled = !this.terminal.hasSelection()));
    this.copies.disabled = true;
    this.watch();
    this.fit.fit();
    this.connect();
    this.terminal.focus();
  }

  /** What changes around it. */
  watch() {
    const size = new ResizeObserver(() => this.fit.fit());
    size.observe(this.screen);
    const recolour = () => (this.terminal.options.theme = this.theme());
    const chosen = new MutationObserver(recolour);
    chosen.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    const system = matchMedia("(prefers-color-scheme: dark)");
    system.addEventListener("change", recolour);
    this.watched = [() => size.disconnect(), () => chosen.disconnect(), () => system.removeEventListener("change", recolour), () => this.terminal.dispose()];
  }

  theme() {
    const style = getComputedStyle(this.screen);
    const colours = COLOURS[isDark() ? "dark" : "light"].map((colour, at) => [NAMES[at], colour]);
    return { ...Object.fromEntries(colours), background: style.backgroundColor, foreground: style.color, cursor: style.color, cursorAccent: style.backgroundColor, selectionBackground: style.caretColor };
  }

  connect() {
    this.again.hidden = true;
    this.show("", "Connecting");
    const address = new URL(this.getAttribute("socket"), document.baseURI);
    address.protocol = "wss:";
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    this.socket?.close();
    this.socket = socket;
    let why = "The connection to the hub broke";
    let untold = 0;
    socket.addEventListener("message", ({ data }) => {
      if (typeof data === "string") {
        const told = JSON.parse(data);
        if (told.state === "open") this.show("good", "Connected, by way of the hub");
        else why = `Ended: ${told.why}`;
        return;
      }
      this.terminal.write(new Uint8Array(data), () => {
        untold += data.byteLength;
        if (untold < TOLD_TOGETHER || socket.readyState !== WebSocket.OPEN) return;
        socket.send(String(untold));
        untold = 0;
      });
    });
    socket.addEventListener("close", () => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.show("bad", `${why}.`);
      this.again.hidden = false;
    });
  }

  send(bytes) {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    for (let at = 0; at < bytes.length; at += PIECE) this.socket.send(bytes.subarray(at, at + PIECE));
  }

  /** Whether the terminal gets a key: not those that copy. */
  key(event) {
    if (event.type !== "keydown" || event.code !== "KeyC" || !(event.ctrlKey || event.metaKey)) return true;
    if (!this.terminal.hasSelection()) return !event.shiftKey;
    event.preventDefault();
    this.copy();
    return false;
  }

  async copy() {
    await navigator.clipboard.writeText(this.terminal.getSelection());
    this.terminal.clearSelection();
    this.terminal.focus();
  }

  save() {
    const buffer = this.terminal.buffer.normal;
    let text = "";
    for (let at = 0; at < buffer.length; at += 1) {
      const line = buffer.getLine(at);
      text += (at && !line.isWrapped ? "\n" : "") + line.translateToString(!buffer.getLine(at + 1)?.isWrapped);
    }
    const link = make("a");
    link.href = URL.createObjectURL(new Blob([`${text.trimEnd()}\n`], { type: "text/plain" }));
    link.download = this.getAttribute("file").replace(/[^\w.-]+/g, "_");
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  show(tone, words) {
    this.dot.className = `dot ${tone}`;
    this.words.textContent = words;
  }
}

customElements.define("nave-terminal", NaveTerminal);
