// Where the pages get their data: from the server, or from the files of a bundle. Both answer the same questions.

const BUNDLE = globalThis.harnessBundle;

export const bundled = Boolean(BUNDLE);

export async function ask(name, given = {}) {
  return bundled ? fromBundle(name, given) : fromServer(name, given);
}

async function fromServer(name, given) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(given)) if (value !== "" && value !== undefined && value !== null) query.set(key, value);
  let answer;
  try {
    answer = await fetch(`api/${name}?${query}`);
  } catch {
    throw new Error("The server has ended: start harness view again.");
  }
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error);
  return body;
}

const chunks = new Map();

// The files of a bundle are scripts that call this: a page opened from a folder may load no other kind.
globalThis.harnessChunk = (name, data) => chunks.get(name)?.(data);

function chunk(name) {
  if (!chunk.loaded) chunk.loaded = new Map();
  if (!chunk.loaded.has(name)) {
    chunk.loaded.set(name, new Promise((done, failed) => {
      chunks.set(name, done);
      const script = document.createElement("script");
      script.src = `${name}.js`;
      script.onerror = () => failed(new Error(`The bundle lacks its file ${name}.js.`));
      document.head.append(script);
    }));
  }
  return chunk.loaded.get(name);
}

const questions = {
  runs: () => ({ runs: BUNDLE.runs, note: BUNDLE.note }),
  pulse: () => ({ changed: 0 }),
  groups: async ({ task }) => {
    const found = new Set();
    for (const row of await rows()) if (row.task === task) for (const [key, value] of Object.entries(row.labels)) found.add(`${key}=${value}`);
    return { groups: [...found].sort().slice(0, 300) };
  },
  episodes: (given) => listed(given),
  find: async ({ task, sample }) => {
    const found = (await rows()).find((row) => row.task === task && row.sample === sample);
    if (!found) throw new Error(`The bundle has no sample ${sample} of ${task}.`);
    return { id: found.id };
  },
  episode: async (given) => (await packed(given)).document,
  part: async (given) => ({ text: whole(await packed(given), given.place), next: null }),
  dropped: async (given) => (await packed(given)).dropped[given.n] || { dropped: [], rewritten: [] },
  replay: async (given) => ({ text: (await packed(given)).replay }),
  changes: async (given) => ({ turns: (await packed(given)).changes }),
};

async function fromBundle(name, given) {
  return questions[name](given);
}

async function rows() {
  const found = await Promise.all(BUNDLE.rows.map(chunk));
  return found.flat();
}

async function packed({ run = 0, id }) {
  const name = (await chunk("places"))[`${run}/${id}`];
  if (!name) throw new Error("This episode is not in the bundle: it would have grown beyond its size (--max).");
  return (await chunk(name))[`${run}/${id}`];
}

// A prompt of a bundle is the start of the one before and what follows it.
function whole(found, place) {
  const tails = [];
  let text = found.whole[place], keep = Infinity;
  while (typeof text !== "string") {
    tails.push(text.tail.slice(0, Math.max(0, keep - text.kept)));
    keep = Math.min(keep, text.kept);
    text = text.after === null ? "" : found.whole[text.after];
  }
  return text.slice(0, keep) + tails.reverse().join("");
}

const KEYS = {
  stored: (row) => row.id, sample: (row) => row.sample, value: (row) => row.value ?? -1, outcome: (row) => row.outcome,
  turns: (row) => row.turns, tokens: (row) => row.output_tokens, seconds: (row) => row.seconds,
  change: (row) => (row.other && row.value !== null && row.other.value !== null ? Math.abs(row.value - row.other.value) : -1),
};

async function listed(given) {
  const words = (given.words || "").toLowerCase().split(/\s+/).filter(Boolean);
  let found = (await rows()).filter((row) => matches(row, given));
  if (words.length) found = await saying(found, words, given.where);
  const key = KEYS[given.sort || "stored"], way = given.down === "1" ? -1 : 1;
  const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  found.sort((a, b) => way * (order(key(a), key(b)) || order(a.id, b.id)));
  const start = given.after || 0, end = start + (given.limit || 100);
  return { rows: found.slice(start, end), next: end < found.length ? end : null };
}

function matches(row, given) {
  const waits = row.value === null && row.outcome !== "infra_error";
  const [label, ...rest] = (given.group || "").split("=");
  return (!given.task || row.task === given.task)
    && (!given.outcome || (given.outcome === "waiting" ? waits : row.outcome === given.outcome))
    && (!given.sample || row.sample.includes(given.sample))
    && (!given.note || (row.note + row.error).includes(given.note))
    && (!given.end || row.end.includes(given.end))
    && (!given.group || row.labels[label] === rest.join("="))
    && (!given.low || (row.value !== null && row.value >= Number(given.low)))
    && (!given.high || (row.value !== null && row.value <= Number(given.high)));
}

async function saying(found, words, where) {
  const kept = [];
  for (const row of found) {
    const episode = await packed(row).catch(() => null);
    const steps = episode ? episode.document.steps : [];
    const said = (step) => {
      const asked = [...(step.messages || []), step.raw, step.added].filter(Boolean).map((message) => message.text);
      const texts = where === "reply" ? [step.reply.text] : where === "prompt" ? asked : [...asked, step.reply.text];
      return texts.join(" ").toLowerCase();
    };
    if (steps.some((step) => words.every((word) => said(step).includes(word)))) kept.push(row);
  }
  return kept;
}
