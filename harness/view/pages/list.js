// The overview of the runs, and the list of episodes with its filters.
import { count, h, link, outcome, score, seconds, shown, value } from "./dom.js";
import { ask, bundled } from "./source.js";

const PAGE = 100;
const FURTHER = ["where", "low", "high", "sample", "note", "end", "every"];
const FIELDS = ["task", "outcome", "group", "low", "high", "sample", "note", "end", "words", "where", "every", "sort", "down"];

export function overview(facts) {
  const [first, second] = facts.runs;
  const head = ["Task", "Mean value", second && "Second run", second && "Differ", "Ended", "Planned", "At a limit",
    "Model error", "Not played (infra)", "Waiting"];
  const beside = new Map(second ? second.tasks.map((task) => [task.task, task]) : []);
  const lines = first.tasks.map((task) => {
    const other = beside.get(task.task);
    const cells = [count(task.ended), count(task.planned), task.limit || 0, task.model_error || 0, task.infra_error || 0, task.waiting || 0];
    return h("tr", {},
      h("th", { scope: "row" }, link(listHash(0, { task: task.task }), {}, task.task)),
      h("td", { class: "number strong" }, bar(task), h("span", { class: "figure" }, score(task.mean, task.unit))),
      second && h("td", { class: "number" }, other ? score(other.mean, other.unit) : "–"),
      second && h("td", { class: "number" },
        task.flips ? link(listHash(0, { task: task.task, sort: "change", down: "1" }), {}, count(task.flips)) : "0"),
      cells.map((cell) => h("td", { class: cell ? "number" : "number none" }, String(cell))));
  });
  const table = h("table", { class: "tasks" },
    h("thead", {}, h("tr", {}, head.filter(Boolean).map((name, index) => h("th", { scope: "col", class: index ? "number" : "" }, name)))),
    h("tbody", {}, lines));
  const all = link(listHash(0, {}), { class: "button" }, "All episodes");
  const others = second && link(listHash(1, {}), { class: "button" }, `Episodes of ${second.run}`);
  const note = "Means of values, in percent or points, over the episodes that have one; harness report gives headlines and intervals.";
  return h("div", { class: "page" }, facts.runs.map(about), facts.note && h("p", { class: "notice" }, facts.note),
    h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Tasks" }, table),
    h("p", { class: "quiet" }, note), h("p", { class: "actions" }, all, others));
}

function about(run) {
  const facts = [run.model, run.profile && `profile ${run.profile}`, run.decoding && `decoding ${run.decoding}`].filter(Boolean);
  return h("section", { class: "about" }, h("h1", {}, shown(run.run)), h("p", { class: "quiet" }, shown(facts.join(" · "))),
    h("p", {}, state(run), ` ${count(run.ended)} of ${count(run.planned)} episodes`));
}

export function state(run) {
  const beat = run.heartbeat;
  if (!beat || beat.state !== "playing") return h("span", { class: "state" }, run.ended < run.planned ? "not complete" : "complete");
  const late = beat.age_s > 30;
  return h("span", { class: late ? "state late" : "state live" }, late ? `no sign of life for ${seconds(beat.age_s)}` : "playing");
}

function bar(task) {
  const most = task.unit === "points" ? 10 : 1;
  return h("meter", { min: 0, max: most, value: task.mean ?? 0, "aria-label": `mean of ${task.task}`, class: task.mean === null ? "none" : "" });
}

export function listHash(run, given) {
  const query = new URLSearchParams();
  for (const name of FIELDS) if (given[name]) query.set(name, given[name]);
  return `#/${run}/l?${query}`;
}

export class EpisodeList {
  constructor(run, given, facts, keep) {
    this.run = run;
    this.paired = facts.runs.length > 1 && run === 0;
    this.given = { ...given };
    if (!given.sort) Object.assign(this.given, { sort: this.paired ? "change" : "stored", down: "1" });
    this.units = new Map(facts.runs[run].tasks.map((task) => [task.task, task.unit]));
    this.facts = facts;
    this.keep = keep;
    this.rows = [];
    this.next = null;
    this.at = -1;
    this.asked = 0;
    this.body = h("tbody");
    this.status = h("p", { class: "quiet", role: "status" });
    this.more = h("button", { class: "more", onclick: () => this.load() }, "Show more");
  }

  element() {
    const columns = [["sample", "Sample"], ["outcome", "Outcome"], ["value", "Value"],
      this.paired ? ["change", "Second run"] : null, ["", "Answer", "roomy"], ["", "Wanted", "roomy"], ["", "Last", "roomy"],
        ["turns", "Turns", "roomy"], ["tokens", "Tokens", "roomy"], ["seconds", "Time", "roomy"]];
    const numbers = new Set(["value", "change", "turns", "tokens", "seconds"]);
    const head = columns.filter(Boolean).map(([sort, name, room = ""]) => {
      const active = sort && this.given.sort === sort;
      const way = active ? (this.given.down === "1" ? "descending" : "ascending") : undefined;
      const turned = { ...this.given, sort, down: active && this.given.down === "1" ? "" : "1" };
      return h("th", { scope: "col", "aria-sort": way, class: `${numbers.has(sort) ? "number" : ""} ${room}` },
        sort ? link(listHash(this.run, turned), {}, name, active ? (this.given.down === "1" ? " ↓" : " ↑") : "") : name);
    });
    const table = h("table", { class: "episodes" }, h("thead", {}, h("tr", {}, head)), this.body);
    const title = this.given.task ? `Episodes of ${this.given.task}` : "All episodes";
    return h("div", { class: "page" }, h("h1", {}, shown(title)), this.filters(), this.status,
      h("div", { class: "wide", tabindex: "-1", role: "region", "aria-label": "Episodes" }, table), h("p", { class: "actions" }, this.more));
  }

  filters() {
    const given = this.given;
    const apply = () => { location.hash = listHash(this.run, given); };
    const field = (name, label, input) => {
      input.setAttribute("aria-label", label);
      return h("label", { class: `field of-${name}` }, h("span", {}, label), input);
    };
    const choice = (name, label, options) => {
      const chosen = options.map(([key, told]) => h("option", { value: key, selected: (given[name] || "") === key }, told));
      return field(name, label,
        h("select", { onchange: (event) => { given[name] = event.target.value; if (name === "task") given.group = ""; apply(); } }, chosen));
    };
    const typed = (name, label, type = "search", more = {}) => field(name, label,
      h("input", { type, name, value: given[name] || "", onchange: (event) => { given[name] = event.target.value; apply(); }, ...more }));
    const tasks = [["", "all tasks"], ...this.facts.runs[this.run].tasks.map((task) => [task.task, task.task])];
    const outcomes = [["", "any"], ["scored", "scored"], ["limit", "limit"], ["model_error", "model error"],
      ["infra_error", "infra error"], ["waiting", "waits for judge"]];
    const groups = h("select", { onchange: (event) => { given.group = event.target.value; apply(); } }, h("option", { value: "" }, "all"));
    const group = field("group", "Group", groups);
    group.hidden = true;
    if (given.task) ask("groups", { run: this.run, task: given.task }).then((found) => {
      groups.append(...found.groups.map((name) => h("option", { value: name, selected: given.group === name }, name)));
      group.hidden = found.groups.length === 0;
    }).catch(() => {});
    const sorts = [["stored", "as stored"], ["sample", "sample"], ["outcome", "outcome"], ["value", "value"], ["turns", "turns"],
      ["tokens", "tokens"], ["seconds", "time"], ...(this.paired ? [["change", "difference"]] : [])];
    const submit = (form) => {
      for (const input of form.querySelectorAll("input[name]")) if (input.type !== "checkbox") given[input.name] = input.value;
      document.activeElement?.blur?.();
      apply();
    };
    const every = h("input", { type: "checkbox", name: "every", onchange: (event) => { given.every = event.target.checked ? "1" : ""; apply(); } });
    every.checked = given.every === "1";
    return h("form", { class: "filters", role: "search", onsubmit: (event) => { event.preventDefault(); submit(event.target); } },
      typed("words", "Text", "search", { id: "search", placeholder: "words in prompts and replies" }),
      choice("task", "Task", tasks), choice("outcome", "Outcome", outcomes), group,
      h("details", { open: innerWidth > 640 || FURTHER.some((name) => given[name]) }, h("summary", {}, "More filters"), h("div", { class: "filters" },
      choice("where", "Text in", [["", "both"], ["prompt", "prompts"], ["reply", "replies"]]),
      typed("low", "Value from", "number", { step: "any" }), typed("high", "Value to", "number", { step: "any" }),
      typed("sample", "Sample"), typed("note", "Note"), typed("end", "Last log", "search", { placeholder: "e.g. action finish" }), choice("sort", "Order", sorts),
      bundled ? null : h("label", { class: "field check" }, every, h("span", {}, "every attempt")))));
  }

  async load() {
    const asked = ++this.asked;
    this.more.disabled = true;
    const found = await ask("episodes",
      { ...this.given, run: this.run, limit: PAGE, after: this.next === null ? "" : bundled ? this.next : JSON.stringify(this.next) });
    if (asked !== this.asked) return;
    this.rows.push(...found.rows);
    this.body.append(...found.rows.map((row) => this.line(row)));
    this.next = found.next;
    this.more.disabled = false;
    this.more.hidden = found.next === null;
    this.tell(found.index);
  }

  tell(index) {
    const building = index && index.done < index.of;
    const told = this.rows.length ? `${count(this.rows.length)}${this.next === null ? "" : "+"} episodes` : building ? ""
      : this.facts.runs[this.run].ended || bundled ? "No episode is like that." : "No episode has ended yet.";
    this.status.textContent = building ? `Reading the texts for the search: ${count(index.done)} of ${count(index.of)} attempts. ${told}` : told;
    clearTimeout(this.timer);
    if (building) this.timer = setTimeout(() => this.refresh().catch(() => {}), 500);
  }

  // Asks again for what is shown, since the run goes on.
  async refresh() {
    if (this.rows.length > 2 * PAGE || this.gone) return;
    const asked = ++this.asked;
    const found = await ask("episodes", { ...this.given, run: this.run, limit: Math.max(PAGE, this.rows.length) });
    if (asked !== this.asked || this.gone) return;
    const focused = this.rows[this.at]?.id, here = this.body.contains(document.activeElement);
    this.rows = found.rows;
    this.next = found.next;
    this.more.hidden = found.next === null;
    this.body.replaceChildren(...found.rows.map((row) => this.line(row)));
    this.at = this.rows.findIndex((row) => row.id === focused);
    if (here) this.focus(this.at);
    this.tell(found.index);
  }

  line(row) {
    const waits = row.value === null && row.outcome !== "infra_error";
    const told = [this.given.task ? "" : row.task, row.note || row.error].filter(Boolean).join(" · ");
    const other = row.other;
    const unlike = other && other.value !== row.value;
    return h("tr", { "data-id": row.id, class: unlike ? "unlike" : "",
      onclick: (event) => { if (!event.target.closest("a") && !String(getSelection())) this.open(row); } },
      h("th", { scope: "row" }, link(this.hash(row), {}, shown(row.sample), row.repeat ? ` #${row.repeat}` : ""),
        told ? h("span", { class: "note", title: told }, shown(told)) : null),
      h("td", {}, outcome(row.outcome, waits), row.final || row.outcome === "infra_error" ? null : h("span", { class: "quiet" }, " late")),
      h("td", { class: "number strong" }, value(row.value)),
      this.paired ? h("td", { class: "number" }, other ? [value(other.value), arrow(row, other)] : "–") : null,
      h("td", { class: "excerpt roomy" }, shown(row.answer)), h("td", { class: "excerpt roomy" }, shown(row.target)),
      h("td", { class: "excerpt roomy", title: row.end }, shown(row.end)),
      h("td", { class: "number roomy" }, count(row.turns)), h("td", { class: "number roomy" }, count(row.output_tokens)),
        h("td", { class: "number roomy" }, seconds(row.seconds)));
  }

  hash(row) {
    return `#/${this.run}/e/${row.id}${row.other ? `?with=${row.other.id}` : ""}`;
  }

  open(row) {
    location.hash = this.hash(row);
  }

  focus(index) {
    if (index < 0 || index >= this.rows.length) return;
    this.at = index;
    const line = this.body.children[index];
    line.querySelector("a").focus({ preventScroll: true });
    line.scrollIntoView({ block: "nearest" });
  }

  async step(by) {
    const here = this.body.contains(document.activeElement) ? [...this.body.children].indexOf(document.activeElement.closest("tr")) : this.at;
    if (here + by >= this.rows.length && this.next !== null) await this.load();
    this.focus(Math.max(0, here + by));
  }

  get keys() {
    return {
      j: () => this.step(1), ArrowDown: () => this.step(1), k: () => this.step(-1), ArrowUp: () => this.step(-1),
      "/": () => document.getElementById("search").focus(), Escape: () => { location.hash = "#/"; },
    };
  }
}

function arrow(row, other) {
  if (row.value === null || other.value === null || row.value === other.value) return "";
  const up = other.value > row.value;
  return h("span", { class: up ? "up" : "down" }, up ? " ▲ better" : " ▼ worse");
}
