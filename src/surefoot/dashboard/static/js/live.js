// Live: what has moved is told by the server; this page then looks again. Rows never jump under a reader's hands.
const GRACE_MS = 2500;
const QUIET_MS = 14000;
let beat = null;
let waiting = false;
let missed = false;
let lostAt = 0;
let heardAt = Date.now();

const main = () => document.getElementById('main');
const watches = () => (main()?.dataset.live || '').split(' ').filter(Boolean);

function moved(before, now) {
  return watches().some((what) => {
    const [kind, id] = what.split(':');
    if (kind === 'rollout') return before.rollouts[id] !== now.rollouts[id];
    if (kind === 'rollouts' || kind === 'work') return JSON.stringify(before[kind]) !== JSON.stringify(now[kind]);
    return kind !== 'chip' && before[kind] !== now[kind];
  });
}

// Somebody is in the middle of something: an open question, a text begun, a marked passage.
function busy() {
  if (document.querySelector('[popover]:popover-open, dialog[open], .copies[open]')) return true;
  if (getSelection().toString()) return true;
  return [...document.querySelectorAll('main textarea, main input[type=password], main input[type=search]')]
    .some((one) => one.value !== one.defaultValue || one === document.activeElement);
}

export function chip(text, act) {
  const one = document.getElementById('chip');
  one.hidden = !text;
  one.textContent = text;
  one.onclick = act;
}

async function refresh() {
  if (waiting) { missed = true; return; }  // what moves meanwhile is looked at afterwards, not forgotten
  if (busy()) { chip('This page has changed: look again', () => location.reload()); return; }
  waiting = true;
  try {
    await htmx.ajax('GET', document.getElementById('again')?.dataset.again || location.pathname + location.search, { target: '#main', select: '#main', swap: 'outerMorph' });
    chip('');
    document.dispatchEvent(new CustomEvent('surefoot:fresh'));
  } finally {
    setTimeout(() => { waiting = false; if (missed) { missed = false; refresh(); } }, 900);
  }
}

function heard(next) {
  const known = beat ?? { audit: Number(main()?.dataset.beat || next.audit), outcomes: next.outcomes, rollouts: next.rollouts, work: next.work };
  beat = next;
  if (watches().includes('chip:audit')) {
    const fresh = next.audit - Number(main().dataset.beat);
    if (fresh > 0) chip(`${fresh} new`, () => location.assign(location.pathname + location.search));
  }
  if (moved(known, next)) refresh();
}

function back() {
  heardAt = Date.now();
  const line = document.getElementById('connection');
  if (lostAt) {
    lostAt = 0;
    line.className = 'status-line good';
    line.textContent = 'connected again';
    setTimeout(() => { if (!lostAt) line.hidden = true; }, 2000);
  }
}

function watchConnection() {
  const silent = Date.now() - heardAt;
  if (!lostAt && silent > QUIET_MS) lostAt = heardAt;
  if (lostAt && Date.now() - lostAt > GRACE_MS) {
    const line = document.getElementById('connection');
    line.hidden = false;
    line.className = 'status-line';
    line.textContent = `connection lost ${Math.round((Date.now() - lostAt) / 1000)} s ago; what you see is from then`;
  }
}

export function follow() {
  if (!watches().length) return;
  const open = () => {
    const source = new EventSource('/live');
    source.addEventListener('beat', (event) => { back(); heard(JSON.parse(event.data)); });
    source.addEventListener('quiet', back);
    source.onopen = back;
    source.onerror = () => {
      lostAt = lostAt || Date.now();
      if (source.readyState === EventSource.CLOSED) setTimeout(open, 2000);
    };
    addEventListener('pagehide', () => source.close(), { once: true });
  };
  open();
  const each = watches().find((one) => one.startsWith('every:'));
  if (each) setInterval(() => { if (!document.hidden && !lostAt) refresh(); }, 1000 * Number(each.slice(6)));
  setInterval(watchConnection, 500);
  addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });
}
