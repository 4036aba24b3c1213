// What every page does. Pages work without any of this; here they become quick to use.
import { follow } from './live.js';
import { drawCharts } from './chart.js';
import { keys } from './keys.js';
import { palette } from './palette.js';

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

async function copy(button) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = 'copied';
  } catch {
    const code = button.parentElement.querySelector('code');
    if (code) getSelection().selectAllChildren(code);
    button.textContent = 'selected';
  }
  setTimeout(() => { button.textContent = before; }, 1600);
}

// Details slide over the page that is there; the address says which are open.
export async function slide(href) {
  const place = document.getElementById('slide');
  if (!place) { location.assign(href); return; }
  await htmx.ajax('GET', href, { target: '#main', select: '#main', swap: 'outerMorph' });
  if (href !== location.pathname + location.search) history.pushState({}, '', href);
  document.querySelector('#slide h2')?.focus({ preventScroll: true });
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
  drawCharts();
  for (const place of document.querySelectorAll('[data-load]')) load(place);
}

document.addEventListener('click', (event) => {
  const at = (what) => event.target.closest(what);
  const button = at('button');
  if (button?.dataset.copy !== undefined) { event.preventDefault(); copy(button); return; }
  if (button?.hasAttribute('data-theme-next')) { nextTheme(button); return; }
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
for (const open of ['toggle']) {
  document.addEventListener(open, (event) => {
    if (!(event.target instanceof HTMLDetailsElement) || !event.target.open || !event.target.matches('.copies')) return;
    for (const other of document.querySelectorAll('.copies[open]')) if (other !== event.target) other.open = false;
  }, true);
}
document.addEventListener('change', (event) => {
  const form = event.target.closest('form[data-auto]');
  if (form) form.requestSubmit();
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

keys(slide);
palette();
settle();
setInterval(age, 15000);
follow();
