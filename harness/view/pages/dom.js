// Builds elements from texts: nothing that a run holds is ever read as HTML.

const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\p{Cs}]/gu;
const MOST_MARKS = 2000;

export function h(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}

// A text as nodes; characters that cannot be seen, or that turn the line round, are written out.
export function shown(text) {
  const nodes = [];
  let from = 0;
  for (const found of text.matchAll(HIDDEN)) {
    if (nodes.length > MOST_MARKS) break;
    const code = found[0].charCodeAt(0);
    const hex = code.toString(16);
    const name = code < 256 ? `\\x${hex.padStart(2, "0")}` : `U+${hex.toUpperCase().padStart(4, "0")}`;
    nodes.push(text.slice(from, found.index), h("span", { class: "mark", title: "a character that cannot be seen" }, name));
    from = found.index + 1;
  }
  nodes.push(text.slice(from).replace(HIDDEN, "\u2423"));
  return nodes;
}

export function count(number) {
  return Number(number).toLocaleString("en");
}

export function value(number, digits = 3) {
  return number === null || number === undefined ? "–" : String(Number(number.toFixed(digits)));
}

export function score(number, unit) {
  if (number === null || number === undefined) return "–";
  return unit === "points" ? number.toFixed(2) : (100 * number).toFixed(1);
}

export function seconds(number) {
  if (number < 10) return `${number.toFixed(1)} s`;
  return number < 90 ? `${Math.round(number)} s` : `${Math.round(number / 60)} min`;
}

export function moment(unix) {
  const time = new Date(unix * 1000);
  return Number.isNaN(time.getTime()) ? "" : `${time.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

export function outcome(name, waits = false) {
  const told = waits ? "waiting" : name.replace("_", " ");
  return h("span", { class: `outcome ${waits ? "waiting" : name}`, title: waits ? "waits for its judge" : undefined }, told);
}

export function say(text) {
  const place = document.getElementById("said");
  place.textContent = text;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => (place.textContent = ""), 4000);
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    say(`copied ${count(text.length)} characters`);
  } catch {
    const area = h("textarea", { readonly: true, "aria-label": "Copy this text" });
    area.value = text;
    const dialog = h("dialog", {}, h("p", {}, "Copy this text:"), area, h("form", { method: "dialog" }, h("button", {}, "Close")));
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
    area.select();
  }
}

export function link(hash, given, ...children) {
  return h("a", { href: hash, ...given }, ...children);
}

// A block of text; what was cut off it is fetched with `part(place, start)`.
export function block(text, part, given = {}) {
  const pre = h("pre", { tabindex: "0", ...given, class: `text ${given.class || ""}` }, shown(text.text));
  if (text.total === undefined) return pre;
  let next = 0;
  const button = h("button", { class: "more", onclick: more }, `Show all ${count(text.total)} characters`);
  async function more() {
    button.disabled = true;
    const piece = await part(text.place, next);
    if (next === 0) pre.replaceChildren();
    pre.append(...shown(piece.text));
    next = piece.next;
    button.disabled = false;
    button.textContent = `Show more of ${count(text.total)} characters`;
    if (next === null) button.remove();
  }
  return h("div", {}, pre, button);
}
