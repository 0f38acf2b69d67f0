// What the harness adds to every page before its own scripts run: settling, finding, reading.
(() => {
  const SHORT_MS = 1000; // timers beyond this are clocks, not reactions to an action
  const CAP_MS = 1500; // a page that never rests is taken as it is
  const LOAD_MS = 5000; // its images are given longer: without them it is another page

  // The only date a listed page prints; a real one would change the first page from day to day.
  Date.prototype.toDateString = () => 'Mon Jan 01 2024';

  const waiting = new Set();
  const later = window.setTimeout.bind(window);
  const cancel = window.clearTimeout.bind(window);
  window.setTimeout = (work, delay, ...rest) => {
    const run = (...values) => {
      waiting.delete(id);
      return typeof work === 'function' ? work.apply(window, values) : (0, eval)(work);
    };
    const id = later(run, delay, ...rest);
    if (!(delay > SHORT_MS)) waiting.add(id);
    return id;
  };
  window.clearTimeout = (id) => {
    waiting.delete(id);
    cancel(id);
  };

  const busy = () =>
    waiting.size > 0 ||
    (window.jQuery && window.jQuery.timers.length > 0) ||
    document.getAnimations().some((a) => a.playState === 'running' && a.effect.getComputedTiming().endTime < CAP_MS);

  async function settle() {
    const began = performance.now();
    const within = (limit) => performance.now() - began < limit;
    while (!WOB_DONE_GLOBAL && ((busy() && within(CAP_MS)) || (loading() && within(LOAD_MS))))
      await new Promise((go) => later(go, 4));
  }

  // Icons are the content of style rules: they load when an element first shows them (or when the pointer
  // comes over it), and until then the element has no size, can neither be hit nor counts as visible.
  const icons = [];
  const iconic = [];
  async function preload() {
    for (const sheet of document.styleSheets) {
      if (sheet.href) continue;
      for (const rule of sheet.cssRules) {
        const found = rule.style && /url\("(.*?)"\)/.exec(rule.style.content);
        if (!found) continue;
        const icon = new Image();
        icons.push(new Promise((go) => (icon.onload = icon.onerror = go)));
        icon.src = found[1];
        iconic.push(rule.selectorText.replaceAll(':hover', ''));
      }
    }
    await Promise.race([Promise.all(icons), new Promise((go) => later(go, LOAD_MS))]);
  }

  const bare = (e) => e.checkVisibility() && e.getBoundingClientRect().width === 0;
  const loading = () =>
    [...document.images].some((image) => !image.complete) ||
    (iconic.length > 0 && [...document.querySelectorAll(iconic.join(','))].some(bare));

  function state() {
    return {
      done: WOB_DONE_GLOBAL,
      reward: Number(WOB_REWARD_GLOBAL) || 0,
      raw: Number(WOB_RAW_REWARD_GLOBAL) || 0,
      reason: WOB_REWARD_REASON === null ? '' : String(WOB_REWARD_REASON),
      url: location.href.split('#')[0],
    };
  }

  const APART = ['reward-display', 'click-canvas', 'sync-task-cover', 'wrap'];

  function observe(beyond) {
    const said = core.getUtterance();
    const spoken = typeof said === 'object' && said !== null;
    // This stamps data-wob_ref on what is visible, so it comes before the page is read.
    try { core.getDOMInfo(); } catch (error) { /* the page's own text walker may give up */ }
    const parts = [document.getElementById('wrap'), ...[...document.body.children].filter((e) => beyond && !APART.includes(e.id))];
    return {
      ...state(),
      html: parts.map((e) => (e ? e.outerHTML : '')).join(''),
      utterance: String(spoken ? said.utterance : said),
      fields: spoken ? said.fields || {} : {},
    };
  }

  async function start(seed, maximum, beyond) {
    const end = performance.now() + 8000;
    await preload();
    core.EPISODE_MAX_TIME = maximum;
    core.setDataMode('train');
    Math.seedrandom(seed);
    core.startEpisodeReal();
    while (!WOB_TASK_READY && performance.now() < end) await new Promise((go) => later(go, 20));
    await settle();
    return observe(beyond);
  }

  async function look(beyond) {
    await settle();
    return WOB_DONE_GLOBAL ? state() : observe(beyond);
  }

  function find(xpath) {
    try {
      const found = document.evaluate(xpath, document, null, XPathResult.ORDERED_NODE_SNAPSHOT_TYPE, null);
      const all = [];
      for (let i = 0; i < found.snapshotLength; i++) all.push(found.snapshotItem(i));
      return all.every((e) => e instanceof Element) ? all : [];
    } catch (error) {
      return []; // not an xpath, or one that yields no nodes
    }
  }

  const sized = (e) => [...e.getClientRects()].some((r) => r.width > 0 && r.height > 0) || [...e.children].some(sized);
  const displayed = (e) => e.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && sized(e);

  function clickable(e) {
    const shown = e.localName === 'option' ? e.closest('select') || e : e;
    return displayed(shown) && !e.matches(':disabled');
  }

  // Centre of the part of the first box that lies in the window.
  function centre(e) {
    const box = [...e.getClientRects()].find((r) => r.width > 0 && r.height > 0) || e.getBoundingClientRect();
    const left = Math.max(0, box.left), right = Math.min(innerWidth, box.right);
    const top = Math.max(0, box.top), bottom = Math.min(innerHeight, box.bottom);
    const x = (left + right) / 2, y = (top + bottom) / 2;
    const there = right > left && bottom > top ? document.elementFromPoint(x, y) : null;
    return { x, y, hit: there !== null && (there === e || e.contains(there)) };
  }

  function point(e) {
    let at = centre(e);
    // Clipped by a scrolling area an element has a box in the window and still cannot be hit.
    if (!at.hit) {
      e.scrollIntoView({ block: 'center', inline: 'nearest', behavior: 'instant' });
      at = centre(e);
    }
    return at;
  }

  function choose(option) {
    const list = option.parentElement;
    if (!list || list.localName !== 'select') return false;
    const wanted = [...list.options].filter((o) => o.text === option.text);
    for (const o of list.multiple ? wanted : wanted.slice(0, 1)) o.selected = true;
    list.focus();
    for (const name of ['input', 'change']) list.dispatchEvent(new Event(name, { bubbles: true }));
    return wanted.length > 0;
  }

  // Where to click for an xpath: the first match that can be clicked.
  function target(xpath) {
    const all = find(xpath);
    for (const e of all) {
      if (!clickable(e)) continue;
      if (e.localName === 'option') {
        if (choose(e)) return { how: 'chosen' };
        continue;
      }
      const at = point(e);
      if (e.localName === 'button' && !at.hit) {
        e.focus();
        return { how: 'enter' }; // something lies over the button: it gets the key instead
      }
      return { how: 'point', x: at.x, y: at.y, moving: iconic.length > 0 };
    }
    return { how: all.length ? 'hidden' : 'none' };
  }

  function option(xpath) {
    const first = find(xpath)[0];
    return { how: first && choose(first) ? 'chosen' : 'none' };
  }

  function hover(xpath, index) {
    const all = find(xpath);
    if (index >= all.length) return { how: all.length ? 'end' : 'none' };
    if (!sized(all[index])) return { how: 'hidden' };
    const at = point(all[index]);
    return { how: 'point', x: at.x, y: at.y };
  }

  Object.defineProperty(window, 'harnessPage', { value: { start, settle, look, target, option, hover } });
})();
