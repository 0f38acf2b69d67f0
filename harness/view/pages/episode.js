// One episode, turn by turn.
import { block, copy, count, h, link, moment, outcome, say, seconds, shown, value } from "./dom.js";
import { ask, bundled } from "./source.js";

const SHOTS = 2;

export class Episode {
  constructor(run, id, other) {
    this.run = run;
    this.id = id;
    this.other = other;
    this.at = -1;
    this.part = (place, start) => ask("part", { run, id, place, start });
  }

  async element() {
    const found = await ask("episode", { run: this.run, id: this.id });
    this.found = found;
    this.turns = [];
    this.entered = entered(found);
    const steps = found.steps.map((step) => this.step(step));
    const compare = h("section", { id: "compare", hidden: true });
    const ended = found.last ? this.after(found.last) : null;
    const judged = found.judged.length
      ? h("section", { class: "judged" }, h("h2", {}, "The judge"), found.judged.map((item) => this.judge(item))) : null;
    const index = h("nav", { class: "index", "aria-label": "Turns" }, h("ol", {}, this.turns.map(({ step, number }) =>
      h("li", {}, link(this.hash(number), { "data-turn": number }, `Turn ${number}`,
        h("span", {}, step.facts.output_tokens ? `${count(step.facts.output_tokens)} tok` : ""))))));
    return h("div", { class: "page episode" }, this.head(found), compare,
      h("div", { class: "columns" }, this.turns.length > 1 ? index : null, h("div", { class: "steps" },
        steps.length ? steps : h("p", { class: "notice" }, "The model was not asked in this attempt."), ended, judged)));
  }

  hash(turn) {
    return `#/${this.run}/e/${this.id}${turn ? `/${turn}` : ""}${this.other ? `?with=${this.other}` : ""}`;
  }

  head(found) {
    const waits = found.value === null && found.outcome !== "infra_error";
    const metrics = Object.entries(found.metrics).map(([name, number]) => `${name} ${value(number)}`);
    const labels = Object.entries(found.labels).map(([name, text]) => `${name} ${text}`);
    const facts = [`${count(found.turns)} turn${found.turns === 1 ? "" : "s"}`, `${count(found.prompt_tokens)} tokens in`,
      `${count(found.output_tokens)} out`,
      seconds(found.seconds), moment(found.started),
      found.rebuilds ? `environment built anew ${found.rebuilds}×` : "", found.cluster ? `cluster ${found.cluster}` : ""].filter(Boolean);
    const attempts = found.attempts.length > 1 ? h("p", { class: "attempts" }, "Attempts: ", found.attempts.map((attempt, index) =>
      link(`#/${this.run}/e/${attempt.id}`, { "aria-current": attempt.id === found.id ? "true" : undefined, class: "chip" },
        `${index + 1} ${attempt.outcome.replace("_", " ")}${attempt.final ? ", counts" : ""}`))) : null;
    const answers = found.answer.text || found.target.text ? h("div", { class: "answers" },
      h("div", {}, h("h2", {}, "Answer that was graded"), block(found.answer, this.part)),
        h("div", {}, h("h2", {}, "Wanted"), block(found.target, this.part))) : null;
    const tools = [
      found.private ? null : h("button", { onclick: () => this.copied("replay") }, "Copy as replay line"),
      h("button", { onclick: () => copy(location.href) }, "Copy link"),
      this.other ? h("button", { onclick: () => this.compare() }, "Side by side with the second run") : null,
    ];
    return h("section", { class: "about" },
      h("h1", {}, shown(found.sample), found.repeat ? ` #${found.repeat}` : ""),
      h("p", { class: "result" }, outcome(found.outcome, waits), h("span", { class: "big" }, waits ? "" : value(found.value)),
        h("span", { class: "quiet" }, shown([found.task, ...metrics].join(" · ")))),
      h("p", { class: "quiet" }, shown([...facts, ...labels].join(" · "))),
      found.private ? h("p", { class: "notice" }, "The texts of this task are not to be spread: hashes and lengths stand in their place.") : null,
      attempts, found.note.text ? h("div", { class: "remark" }, block(found.note, this.part)) : null,
      found.error.text ? h("div", { class: "failed" }, block(found.error, this.part)) : null,
      answers, h("p", { class: "actions" }, tools));
  }

  step(step) {
    if (step.role) return this.aside(step);
    const number = this.turns.length + 1;
    const panel = h("div", { class: "panel", hidden: true });
    const facts = step.facts;
    const told = [facts.prompt_tokens && `${count(facts.prompt_tokens)} in`,
      facts.output_tokens && `${count(facts.output_tokens)} out`, facts.latency_s && seconds(facts.latency_s),
      facts.queue_s && `queued ${seconds(facts.queue_s)}`, facts.finish_reason, facts.seed !== undefined && `seed ${facts.seed}`,
        facts.attempts > 1 && `${facts.attempts} tries`, facts.endpoint, ...(facts.notes || [])].filter(Boolean);
    const made = h("article", { class: "turn", id: `turn-${number}`, "aria-label": `Turn ${number}` },
      h("header", {}, h("h2", {}, link(this.hash(number), {}, `Turn ${number}`)), h("span", { class: "quiet" }, shown(told.join(" · ")))),
      step.fresh && number > 1 ? h("p", { class: "rule" }, "a new conversation begins") : null,
      step.left_out ? h("p", { class: "quiet" }, `${count(step.left_out)} earlier messages of this turn stand in the prompt`) : null,
      this.messages(step.messages || []),
      step.raw ? this.message({ role: "raw prompt", ...step.raw }) : null,
      step.added ? this.message({ role: "prompt, as sent", ...step.added }) : null,
      h("section", { class: "message reply" }, h("h3", {}, "Reply", choice(facts)), block(step.reply, this.part)),
      this.entered.has(step)
        ? h("section", { class: "message said" }, h("h3", {}, "Stands in the history as"), block(this.entered.get(step), this.part)) : null,
      step.info ? this.log("What came of it", step.info) : null,
      h("p", { class: "actions" },
        h("button", { class: "prompt", "aria-expanded": "false",
          onclick: (event) => this.prompt(step, panel, event.currentTarget) }, "Prompt as sent", step.window ? " (cut by the window)" : ""),
        this.found.private || bundled ? null : h("button", { onclick: () => this.copied("curl", { n: step.n }) }, "Copy as curl")),
      panel);
    this.turns.push({ step, number, made });
    return made;
  }

  messages(messages) {
    const shots = messages.filter((message) => message.pin === "shot");
    const folded = shots.length > SHOTS;
    const rest = folded ? messages.filter((message) => message.pin !== "shot") : messages;
    return [folded ? h("details", { class: "shots" }, h("summary", {}, `${shots.length} messages of examples`),
      shots.map((message) => this.message(message))) : null,
      ...rest.map((message) => this.message(message))];
  }

  message(message) {
    return h("section", { class: `message ${/^[a-z]+$/.test(message.role) ? message.role : ""}` },
      h("h3", {}, message.role, message.pin ? h("span", { class: "quiet" }, ` ${message.pin}`) : null), block(message, this.part));
  }

  log(title, info) {
    const grid = (entries) => h("dl", { class: "log" },
      entries.map(([name, text]) => [h("dt", {}, shown(name)), h("dd", {}, block(text, this.part))]));
    return h("section", { class: "message info" }, h("h3", {}, title), grid(info.shown),
      info.folded.length ? h("details", {}, h("summary", {}, `${info.folded.length} more in the log`), grid(info.folded)) : null);
  }

  aside(step) {
    return h("details", { class: "aside" },
      h("summary", {}, "Call of ", h("b", {}, shown(step.role)), " ", h("span", { class: "quiet" }, shown(step.key)),
        h("span", { class: "excerpt" }, shown(step.reply.text.slice(0, 120)))),
      this.message({ role: "asked", ...(step.added || step.prompt) }), this.message({ role: "said", ...step.reply }));
  }

  after(last) {
    const parts = [...this.messages(last.messages || []), last.info ? this.log("Log", last.info) : null].filter(Boolean);
    return parts.length ? h("section", { class: "after" }, h("h2", {}, "After the last reply"), parts) : null;
  }

  judge(item) {
    return h("article", { class: "turn" }, h("header", {}, h("h3", {}, shown(item.key))),
      h("details", {}, h("summary", {}, `What it was asked (${item.messages.length} messages)`),
        item.messages.map((message) => this.message(message))),
      item.verdicts.length
        ? item.verdicts.map((verdict) => this.message({ ...verdict,
        role: `${verdict.judge}${verdict.k ? ` #${verdict.k}` : ""}` })) : h("p", { class: "quiet" }, "No verdict yet."));
  }

  async prompt(step, panel, button) {
    const open = panel.hidden;
    button.setAttribute("aria-expanded", String(open));
    panel.hidden = !open;
    if (!open || panel.childNodes.length) return;
    const pre = block(step.prompt, this.part);
    const wanted = Object.entries(step.ask || {}).map(([name, told]) => `${name} ${JSON.stringify(told)}`);
    if (wanted.length) panel.append(h("p", { class: "quiet asked" }, "Asked for: ", shown(wanted.join(" · "))));
    panel.append(h("h3", {}, `Prompt as sent, ${count(step.prompt.total ?? step.prompt.text.length)} characters`), pre);
    if (step.window) {
      const found = await ask("dropped", { run: this.run, id: this.id, n: step.n });
      for (const [name, told] of [["dropped", "Left out by the window"], ["rewritten", "Rewritten by the window; the original was"]])
        if (found[name].length) panel.append(h("details", {},
          h("summary", {}, `${told}: ${found[name].length} message${found[name].length === 1 ? "" : "s"}`),
          found[name].map((message) => this.message(message))));
    }
    pre.querySelector?.("button")?.click();
  }

  async copied(what, given = {}) {
    try {
      await copy((await ask(what, { run: this.run, id: this.id, ...given })).text);
    } catch (error) {
      say(error.message);
    }
  }

  async compare() {
    const place = document.getElementById("compare");
    place.hidden = !place.hidden;
    if (place.hidden || place.childNodes.length) return;
    const found = await ask("changes", { run: this.run, id: this.id, other: 1 - this.run, with: this.other });
    const side = (turn, sign) => h("pre", { class: "text", tabindex: "0" }, turn.parts.filter(([kind]) => kind === "=" || kind === sign)
      .map(([kind, text]) => (kind === "=" ? h("span", {}, shown(text)) : h(kind === "-" ? "del" : "ins", {}, shown(text)))));
    place.append(h("h2", {}, "Replies side by side"), ...found.turns.map((turn, index) => h("div", { class: "pair" },
      h("h3", {}, `Turn ${index + 1}`,
        turn.parts.every(([kind]) => kind === "=") ? h("span", { class: "quiet" }, " the same") : null,
        turn.cut ? h("span", { class: "quiet" }, " only the start is compared") : null),
      side(turn, "-"), side(turn, "+"))));
  }

  show(number, { focus = true } = {}) {
    const turn = this.turns[number - 1];
    if (!turn) return;
    this.at = number - 1;
    for (const mark of document.querySelectorAll(".index a")) mark.toggleAttribute("aria-current", Number(mark.dataset.turn) === number);
    document.querySelector(".index [aria-current]")?.scrollIntoView({ block: "nearest" });
    turn.made.scrollIntoView({ block: "start" });
    if (focus) turn.made.querySelector("h2 a").focus({ preventScroll: true });
  }

  go(by) {
    const number = Math.min(this.turns.length, Math.max(1, this.at + 1 + by));
    history.replaceState(null, "", this.hash(number));
    this.show(number);
  }

  get keys() {
    return {
      j: () => this.go(1), ArrowRight: () => this.go(1), k: () => this.go(-1), ArrowLeft: () => this.go(-1),
      p: () => this.turns[Math.max(0, this.at)]?.made.querySelector("button.prompt").click(),
      c: () => this.other && this.compare(), Escape: () => this.back(), u: () => this.back(), n: () => this.beside(1), N: () => this.beside(-1),
    };
  }
}

// How each reply entered the history, where that is not as it came: the observation after it says so.
function entered(found) {
  const own = found.steps.filter((step) => !step.role), told = new Map();
  [...own.slice(1), found.last
    || {}].forEach((next, index) => { if (own[index] && next.said && next.said.text !== own[index].reply.text) told.set(own[index], next.said); });
  return told;
}

function choice(facts) {
  if (facts.choice === undefined) return null;
  return h("span", { class: "quiet" }, ` choice ${String.fromCharCode(65 + facts.choice)}${facts.method ? ` by method ${facts.method}` : ""}`);
}
