// Requests: how many new ones there are by now, and texts that stay hidden until they are shown again.
import { chip } from './live.js';

const EVERY_MS = 5000;
const MOST = 99;

async function ask() {
  const place = document.querySelector('[data-fresh]');
  if (!place || document.hidden) return;
  try {
    const answer = await fetch(place.dataset.fresh, { headers: { Accept: 'application/json' } });
    if (!answer.ok) return;
    const { count } = await answer.json();
    if (count) chip(count > MOST ? `${MOST}+ new` : `${count} new`, () => location.assign(location.pathname + location.search));
  } catch { /* the line at the top says so where the server is away; the next look tries again */ }
}

document.addEventListener('click', (event) => {
  const link = event.target.closest('a[data-texts]');
  if (!link) return;
  const word = link.dataset.texts;
  document.cookie = `surefoot_texts=${word}; path=/; max-age=${word ? 31536000 : 0}; SameSite=Strict`;
  const address = new URL(link.href);
  address.searchParams.delete('texts');
  event.preventDefault();
  location.assign(address.pathname + address.search);
});

// An address may lead to one step of many.
document.querySelector('.steps tr.picked')?.scrollIntoView({ block: 'center' });
setInterval(ask, EVERY_MS);
document.addEventListener('visibilitychange', ask);
