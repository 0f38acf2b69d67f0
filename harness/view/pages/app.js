// Decides by the address which page is shown, hands it the keys, and asks whether the run has grown.
import { h, link, shown } from "./dom.js";
import { Episode } from "./episode.js";
import { EpisodeList, listHash, overview, state } from "./list.js";
import { ask, bundled } from "./source.js";

const POLL_MS = 1500;
const main = document.getElementById("main");
const top_ = document.getElementById("top");
const HELP = [["j k ↓ ↑", "next, previous"], ["Enter", "open"], ["Esc u", "back"], ["n N", "next, previous episode of the list"],
  ["/", "search"], ["p", "prompt of the turn"], ["c", "side by side"], ["?", "these keys"]];

const FACTS_EVERY = 8;

let polls = 0, facts = null, page = null, list = "#/0/l?", opened = null, shownList = null, pulse = "", turning = 0;

async function route() {
  const [path, query = ""] = location.hash.replace(/^#/, "").split("?");
  const [, run = "", kind = "", id = "", turn = ""] = path.split("/");
  const given = Object.fromEntries(new URLSearchParams(query));
  const same = page instanceof Episode && kind === "e" && page.id === id && String(page.run) === run;
  if (same && page.turns) return turn ? page.show(Number(turn)) : undefined;
  const mine = ++turning;
  if (page) page.gone = true;
  try {
    if (!facts) facts = await ask("runs");
    if (kind === "e") await showEpisode(Number(run), id, given.with, Number(turn), mine);
    else if (kind === "l") await showList(Number(run), given, mine);
    else {
      facts = await ask("runs");
      if (mine !== turning) return;
      put({ keys: { Enter: () => { location.hash = listHash(0, {}); } }, reload: true }, overview(facts),
        facts.runs.map((found) => found.run).join(", "));
    }
  } catch (error) {
    if (mine === turning) put({ keys: { Escape: () => { location.hash = "#/"; } } },
      h("div", { class: "page" }, h("h1", {}, "Not found"), h("p", { class: "failed", role: "alert" }, error.message),
      link("#/", { class: "button" }, "To the tasks")), "Not found");
  }
}

async function showList(run, given, mine) {
  if (!facts.runs[run]) throw new Error(`There is no run ${run}.`);
  list = location.hash;
  shownList = null;
  const made = new EpisodeList(run, given, facts);
  await made.load();
  if (mine !== turning) return;
  shownList = made;
  const name = given.task || "all episodes";
  put(made, made.element(), name, crumb(run), name);
  const back = made.rows.findIndex((row) => String(row.id) === opened);
  if (back >= 0) made.focus(back);
}

async function showEpisode(run, id, other, turn, mine) {
  const made = new Episode(run, id, other);
  made.back = () => { location.hash = list; };
  made.beside = (by) => neighbour(id, by);
  const element = await made.element();
  if (mine !== turning) return;
  opened = id;
  if (list === "#/0/l?") list = listHash(run, { task: made.found.task });
  put(made, element, made.found.sample, crumb(run), link(list, {}, made.found.task), made.found.sample);
  if (turn) made.show(turn);
  else main.focus({ preventScroll: true });
}

async function neighbour(id, by) {
  if (!shownList) return;
  const at = shownList.rows.findIndex((row) => String(row.id) === id) + by;
  if (at >= shownList.rows.length && shownList.next !== null) await shownList.load();
  if (at >= 0 && shownList.rows[at]) shownList.open(shownList.rows[at]);
}

function crumb(run) {
  return link("#/", {}, shown(facts.runs[run].run));
}

function put(now, element, title, ...path) {
  page = now;
  document.title = title;
  const typed = document.activeElement?.closest(".filters input");
  main.replaceChildren(element);
  if (typed) takeOver(typed);
  else scrollTo(0, 0);
  const crumbs = path.map((part) => [h("span", { class: "slash", "aria-hidden": "true" }, "/"),
    typeof part === "string" ? h("span", { class: "here" }, shown(part)) : part]);
  top_.replaceChildren(h("nav", { "aria-label": "Place" }, link("#/", { class: "home" }, "Runs"), crumbs),
    h("span", { id: "state" }, facts ? state(facts.runs[0]) : null), h("button", { onclick: help, title: "Keys (?)", "aria-label": "Keys" }, "?"));
}

// What is being typed into a filter while the list changes goes on in the new list's.
function takeOver(typed) {
  const field = main.querySelector(`.filters input[name="${typed.name}"]`);
  if (!field) return;
  if (field.type !== "checkbox") field.value = typed.value;
  field.focus();
}

function help() {
  const dialog = h("dialog", { "aria-label": "Keys" }, h("h2", {}, "Keys"),
    h("dl", {}, HELP.map(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)])),
    h("form", { method: "dialog" }, h("button", {}, "Close")));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const typing = event.target.closest("input, select, textarea");
  if (typing) {
    if (event.key === "Escape") typing.blur();
    return;
  }
  const act = event.key === "?" ? help : event.key === "Enter" && event.target.closest("a, button, summary") ? null : page?.keys?.[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

async function poll() {
  try {
    const now = JSON.stringify((await ask("pulse")).changed);
    if (pulse && (now !== pulse || (++polls % FACTS_EVERY === 0 && page?.keys))) await grown(now !== pulse);
    pulse = now;
  } catch {
    document.getElementById("state")?.replaceChildren(h("span", { class: "state late" }, "the server has ended"));
  }
  setTimeout(poll, POLL_MS);
}

// The facts are asked for from time to time as well: how old the last sign of life is changes by itself.
async function grown(more) {
  facts = await ask("runs");
  document.getElementById("state").replaceChildren(state(facts.runs[0]));
  if (!more) return;
  if (page?.reload) await route();
  else if (page instanceof EpisodeList) { page.facts = facts; await page.refresh(); }
}

addEventListener("hashchange", route);
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
route();
if (!bundled) poll();
