// What every page does. Pages work without any of this; here they become quick to use.
import { follow } from './live.js';
import { drawCharts } from './chart.js';
import { keys } from './keys.js';
import { palette, visited } from './palette.js';

const THEMES = ['', 'light', 'dark'];

function nextTheme(button) {
  const root = document.documentElement;
  const next = THEMES[(THEMES.indexOf(root.dataset.theme || '') + 1) % THEMES.length];
  if (next) root.dataset.theme = next; else delete root.dataset.theme;
  document.cookie = `surefoot_theme=${next}; path=/; max-age=${next ? 31536000 : 0}; SameSite=Strict`;
  button.title = `Colours: ${next || 'system'}`;
  button.setAttribute('aria-label', `Colours: ${next || 'as the system has them'}`);
  document.dispatchEvent(new CustomEvent('surefoot:theme'));
}

// What has just happened, for who does not see it.
function say(text) {
  const place = document.getElementById('said');
  place.textContent = '';
  setTimeout(() => { place.textContent = text; }, 60);
}

async function copy(button) {
  const word = button.querySelector('span') ?? button;
  if (button.style.minWidth) return;  // it is still saying so
  const before = word.textContent;
  let told = 'copied';
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
  } catch {  // an address without encryption may not: the text is marked, so that one key copies it
    const code = button.parentElement.querySelector('code');
    if (code) getSelection().selectAllChildren(code);
    told = code ? 'selected' : 'not allowed here';
  }
  button.style.minWidth = `${button.offsetWidth}px`;
  button.classList.toggle('is-copied', told === 'copied');
  word.textContent = told === 'copied' ? '✓ copied' : told;
  say(told);
  setTimeout(() => { word.textContent = before; button.classList.remove('is-copied'); button.style.minWidth = ''; }, 1600);
}

async function copyAddress() {
  try {
    await navigator.clipboard.writeText(location.href);
    flash('The address of this page is copied');
  } catch { flash(location.href); }
}

function flash(text) {
  const line = document.getElementById('connection');
  if (!line.hidden) return;
  line.hidden = false;
  line.className = 'status-line good';
  line.textContent = text;
  setTimeout(() => { if (line.textContent === text) line.hidden = true; }, 1800);
}

// Another view of the same page, without leaving it; the address knows.
async function go(href) {
  await htmx.ajax('GET', href, { target: '#main', select: '#main', swap: 'outerMorph' });
  if (href !== location.pathname + location.search) history.pushState({}, '', href);
}

// Details slide over the page that is there; the address says which are open. Closed, the row has the focus again.
let opener = '';
export async function slide(href) {
  const place = document.getElementById('slide');
  if (!place) { location.assign(href); return; }
  const was = opener;
  opener = href;
  await go(href);
  const title = document.querySelector('#slide:not([hidden]) h2');
  const back = was && [...document.querySelectorAll('[data-walk]')].find((one) => one.dataset.href === was);
  (title || back || null)?.focus({ preventScroll: true });
}

// The window's title, its icon and the count beside Approvals say what waits, also in a tab that nobody looks at.
function tell() {
  const { title, asked } = document.getElementById('main').dataset;
  if (title === undefined) return;
  const many = Number(asked);
  document.title = `${many ? `(${many}) ` : ''}${title} · Surefoot`;
  const icon = document.getElementById('icon'), count = document.getElementById('asked');
  icon.href = many ? icon.dataset.asks : icon.dataset.calm;
  if (count) { count.hidden = !many; count.querySelector('b').textContent = asked; }
}

async function load(place) {
  const answer = await fetch(place.dataset.load, { headers: { Accept: 'text/html' } });
  if (!answer.ok) return;
  const found = new DOMParser().parseFromString(await answer.text(), 'text/html').getElementById(place.id);
  if (found) { place.replaceChildren(...found.childNodes); delete place.dataset.load; }
}

const UNITS = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
function ago(moment, now) {
  const seconds = (now - moment) / 1000, size = Math.abs(seconds);
  if (size < 10) return 'now';
  if (size >= 30 * 86400) return null;
  const [unit, word] = UNITS.find(([one]) => size >= one);
  const told = `${Math.floor(size / unit)} ${word}`;
  return seconds >= 0 ? `${told} ago` : `in ${told}`;
}
function age() {
  const now = Date.now();
  for (const one of document.querySelectorAll('time[data-ago]')) {
    const told = ago(Date.parse(one.dateTime), now);
    if (told && one.textContent !== told) one.textContent = told;
  }
}

function settle() {
  age();
  tell();
  drawCharts();
  for (const place of document.querySelectorAll('[data-load]')) load(place);
}

document.addEventListener('click', (event) => {
  const at = (what) => event.target.closest(what);
  const button = at('button');
  if (button?.dataset.copy !== undefined) { event.preventDefault(); copy(button); return; }
  if (button?.hasAttribute('data-theme-next')) { nextTheme(button); return; }
  if (button?.hasAttribute('data-print')) { print(); return; }
  if (button?.hasAttribute('data-help')) { document.getElementById('help').showModal(); return; }
  const link = at('a');
  const plain = !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0;
  if (link && plain && (link.hasAttribute('data-slide') || link.hasAttribute('data-close'))) {
    event.preventDefault();
    slide(link.getAttribute('href'));
    return;
  }
  const row = at('[data-href]');
  if (row && plain && !at('a, button, input, label, summary, form form') && !getSelection().toString()) {
    const inner = row.querySelector('a.row-link');
    if (inner?.hasAttribute('data-slide')) slide(row.dataset.href); else location.assign(row.dataset.href);
  }
});
document.addEventListener('toggle', (event) => {
  if (!(event.target instanceof HTMLDetailsElement) || !event.target.open || !event.target.matches('.copies')) return;
  for (const other of document.querySelectorAll('.copies[open]')) if (other !== event.target) other.open = false;
}, true);
// Paper has no folds.
addEventListener('beforeprint', () => { for (const one of document.querySelectorAll('details.fold, details.events')) one.open = true; });
function chosen(form) {
  const said = [...new FormData(form)].filter(([, value]) => value !== '');
  const query = new URLSearchParams(said.some(([name]) => name === 'at') ? said.filter(([name]) => name === 'at') : said);
  go(`${form.getAttribute('action')}${query.size ? `?${query}` : ''}`);
}
document.addEventListener('change', (event) => {
  const form = event.target.closest('form[data-auto]');
  if (form) chosen(form);
});
document.addEventListener('submit', (event) => {
  if (event.target.matches('form[data-auto]')) { event.preventDefault(); chosen(event.target); }
});
addEventListener('popstate', () => htmx.ajax('GET', location.pathname + location.search, { target: '#main', select: '#main', swap: 'outerMorph' }));
document.addEventListener('surefoot:fresh', settle);
document.addEventListener('htmx:after:swap', settle);

// A word of what was done passes, and the address forgets it, so that a reload does not say it again.
if (document.querySelector('[data-passing]')) {
  const address = new URL(location.href);
  address.searchParams.delete('done');
  history.replaceState({}, '', address.pathname + address.search);
}

visited();
keys({ slide, go, copyAddress });
palette({ copyAddress, theme: () => nextTheme(document.querySelector('[data-theme-next]')) });
settle();
setInterval(age, 15000);
follow();
