// The keyboard: walk along what can be walked along, open it, close what is open, go elsewhere.
const PLACES = { a: '/', p: '/approvals', u: '/audit', r: '/runs', h: '/status' };
let going = 0;

function typing(target) {
  return target.closest('input:not([type=radio]), textarea, select, [contenteditable]') !== null;
}

function walk(step, among = '[data-walk]') {
  const stops = [...document.querySelectorAll(among)].filter((one) => one.offsetParent !== null);
  if (!stops.length) return;
  const here = stops.indexOf(document.activeElement?.closest(among));
  const picked = stops.findIndex((one) => one.classList.contains('picked'));
  const besides = document.activeElement?.closest('#slide') ? step : 0;
  const next = here >= 0 ? here + step : picked >= 0 ? picked + besides : step > 0 ? 0 : stops.length - 1;
  const stop = stops[Math.max(0, Math.min(stops.length - 1, next))];
  stop.focus({ focusVisible: true });
  stop.scrollIntoView({ block: 'nearest' });
}

function enter(slide, event) {
  const stop = document.activeElement;
  if (!stop?.matches('[data-walk][data-href]')) return;
  event.preventDefault();
  const link = stop.querySelector('a.row-link');
  if (link?.hasAttribute('data-slide')) slide(stop.dataset.href); else location.assign(stop.dataset.href);
}

function close(slide) {
  const open = document.querySelector('.copies[open]');
  if (open) { open.open = false; open.querySelector('summary').focus(); return; }
  const link = document.querySelector('#slide:not([hidden]) [data-close]');
  if (link) slide(link.getAttribute('href'));
}

function decide() {
  const place = document.querySelector('[data-decision]');
  const first = place?.querySelector('textarea, button, a.button');
  if (first) { first.focus({ focusVisible: true }); place.scrollIntoView({ block: 'center' }); }
}

// Compare from the version that has the focus to the one that is shown.
function compare(go) {
  const from = document.activeElement?.closest('.version-row')?.querySelector('input[name=base]')?.value;
  const to = document.querySelector('input[name=head]:checked')?.value ?? new URLSearchParams(location.search).get('head');
  if (!from || !to) return;
  const address = new URL(location.href);
  address.searchParams.set('base', from);
  address.searchParams.set('head', to);
  address.searchParams.delete('at');
  go(address.pathname + address.search);
}

export function keys({ slide, go, copyAddress }) {
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector('dialog[open], [popover]:popover-open')) return;
    if (event.key === 'Escape') { if (typing(event.target)) event.target.blur(); else close(slide); return; }
    if (typing(event.target)) return;
    if (Date.now() - going < 1200 && PLACES[event.key]) { going = 0; location.assign(PLACES[event.key]); return; }
    const act = {
      j: () => walk(1), k: () => walk(-1), n: () => walk(1, '.hunk'), p: () => walk(-1, '.hunk'), c: () => compare(go), y: copyAddress, Enter: () => enter(slide, event), d: decide, g: () => { going = Date.now(); },
      '?': () => document.getElementById('help').showModal(),
      '/': () => { const one = document.querySelector('[data-filter]'); if (one) { event.preventDefault(); one.focus(); } },
    }[event.key];
    if (act) { if (event.key === 'd') event.preventDefault(); act(); }
  });
}
