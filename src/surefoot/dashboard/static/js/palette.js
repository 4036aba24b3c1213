// The palette: type a few letters of where to go, or of what to do. Letters may be left out; where one was, comes first.
const KEPT = 'surefoot_visited';
const MOST = 6;
let places = null;
let found = [];
let chosen = 0;

function recent() {
  try { return JSON.parse(localStorage.getItem(KEPT) ?? '[]'); } catch { return []; }
}

// Remember this page, in this browser only.
export function visited() {
  const title = document.getElementById('main')?.dataset.title;
  if (!title) { if (location.pathname === '/login') localStorage.removeItem(KEPT); return; }
  const here = { label: title, hint: 'visited', href: location.pathname + location.search };
  try {
    localStorage.setItem(KEPT, JSON.stringify([here, ...recent().filter((one) => one.href !== here.href)].slice(0, MOST + 1)));
  } catch { /* a browser that keeps nothing goes without */ }
}

// How well letters fit a text, and where: in their order, better beside each other and at the beginning of a word.
function fit(text, letters) {
  const low = text.toLowerCase(), at = [];
  const whole = low.indexOf(letters);
  if (whole >= 0) {
    const start = whole === 0 || /[^a-z0-9]/.test(low[whole - 1]);
    return { score: 100 + (start ? 40 : 0) - whole / 10, at: [...letters].map((_, index) => whole + index) };
  }
  let from = 0, score = 0;
  for (const letter of letters) {
    const next = low.indexOf(letter, from);
    if (next < 0) return null;
    score += next === from && at.length ? 6 : next === 0 || /[^a-z0-9]/.test(low[next - 1]) ? 5 : -Math.min(4, next - from);
    at.push(next);
    from = next + 1;
  }
  return score > 0 ? { score, at } : null;
}

// Every word must fit somewhere; what fits the label counts more than what fits the hint.
function ranked(place, words) {
  let score = 0;
  const marks = new Set();
  for (const word of words) {
    const label = fit(place.label, word), hint = fit(place.hint, word);
    if (!label && !hint) return null;
    score += Math.max(label?.score ?? -1, (hint?.score ?? -1) / 2);
    if (label) label.at.forEach((one) => marks.add(one));
  }
  return { score: score - place.label.length / 50, place, marks };
}

function marked(label, marks) {
  const text = document.createElement('span');
  text.className = 'what';
  for (const [at, letter] of [...label].entries()) {
    if (!marks.has(at)) { text.append(letter); continue; }
    const one = document.createElement('mark');
    one.append(letter);
    text.append(one);
  }
  return text;
}

function title(word) {
  const row = document.createElement('li');
  row.className = 'sort';
  row.setAttribute('role', 'presentation');
  row.append(word);
  return row;
}

function rows(words, commands) {
  if (words.length) {
    const all = [...places, ...commands].map((one) => ranked(one, words)).filter(Boolean);
    return [['', all.sort((a, b) => b.score - a.score).slice(0, 40)]];
  }
  const plain = (list) => list.map((place) => ({ place, marks: new Set() }));
  const here = location.pathname + location.search;
  const pages = places.filter((one) => one.hint === 'page'), others = places.filter((one) => one.hint !== 'page');
  return [
    ['Where you were', plain(recent().filter((one) => one.href !== here).slice(0, MOST))], ['Pages', plain(pages)],
    ['Do', plain(commands)], ['Everything else', plain(others.slice(0, 40))],
  ];
}

function show(list, input, commands, act) {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  const parts = rows(words, commands).filter(([, some]) => some.length);
  found = parts.flatMap(([, some]) => some.map((one) => one.place));
  let index = 0;
  list.replaceChildren(...parts.flatMap(([word, some]) => [...(word ? [title(word)] : []), ...some.map(({ place, marks }) => {
    const row = document.createElement('li');
    row.id = `place-${index++}`;
    row.setAttribute('role', 'option');
    const hint = document.createElement('span');
    hint.append(place.hint.replaceAll('_', ' '));
    row.append(marked(place.label, marks), hint);
    row.addEventListener('click', () => act(place));
    return row;
  })]));
  if (!found.length) {
    const row = document.createElement('li');
    row.className = 'none';
    row.setAttribute('role', 'option');
    row.append('Nothing is called so');
    list.append(row);
  }
  choose(list, input, 0);
}

function choose(list, input, index) {
  chosen = found.length ? (index + found.length) % found.length : 0;
  for (const row of list.querySelectorAll('[role=option]')) row.setAttribute('aria-selected', String(row.id === `place-${chosen}` && found.length > 0));
  const row = document.getElementById(`place-${chosen}`);
  if (chosen === 0) list.scrollTop = 0; else row?.scrollIntoView({ block: 'nearest' });
  input.setAttribute('aria-activedescendant', row ? row.id : '');
}

export function palette({ copyAddress, theme }) {
  const dialog = document.getElementById('palette');
  const list = document.getElementById('palette-list');
  const input = document.getElementById('palette-input');
  const commands = [
    { label: 'Copy the address of this page', hint: 'y', act: copyAddress },
    { label: 'Other colours: system, light, dark', hint: 'do', act: theme },
    { label: 'Print this page', hint: 'do', act: () => print() },
    { label: 'This page as JSON', hint: 'do', act: () => location.assign(`${location.pathname === '/' ? '/agents' : location.pathname}.json${location.search}`) },
    { label: 'Keys and words', hint: '?', act: () => document.getElementById('help').showModal() },
  ];
  const act = (place) => {
    dialog.close();
    if (place.act) place.act(); else location.assign(place.href);
  };
  const open = async () => {
    if (dialog.open) { dialog.close(); return; }
    dialog.showModal();
    input.value = '';
    input.focus();
    if (!places) {
      const answer = await fetch('/palette.json');
      places = answer.ok ? (await answer.json()).places : [];
    }
    show(list, input, commands, act);
  };
  document.addEventListener('keydown', (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === 'k') { event.preventDefault(); open(); }
  });
  document.addEventListener('click', (event) => {
    if (event.target.closest('[data-palette]')) open();
    else if (event.target === dialog) dialog.close();
  });
  input.addEventListener('input', () => places && show(list, input, commands, act));
  input.addEventListener('keydown', (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) { event.preventDefault(); choose(list, input, chosen + step); }
    if (event.key === 'Enter') { event.preventDefault(); if (found[chosen]) act(found[chosen]); }
  });
}
