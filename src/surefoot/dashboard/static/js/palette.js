// The palette: type a few letters of where to go.
let places = null;
let found = [];
let chosen = 0;

function score(place, words) {
  const text = `${place.label} ${place.hint}`.toLowerCase();
  return words.every((word) => text.includes(word)) ? (text.startsWith(words[0] || '') ? 2 : 1) : 0;
}

function show(list, input) {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  found = places.map((place) => [score(place, words), place]).filter(([one]) => one).sort((a, b) => b[0] - a[0]).map(([, place]) => place).slice(0, 40);
  chosen = 0;
  list.replaceChildren(...found.map((place, index) => {
    const row = document.createElement('li');
    row.id = `place-${index}`;
    row.setAttribute('role', 'option');
    row.append(place.label);
    const hint = document.createElement('span');
    hint.append(place.hint.replaceAll('_', ' '));
    row.append(hint);
    row.addEventListener('click', () => location.assign(place.href));
    return row;
  }));
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
  chosen = Math.max(0, Math.min(found.length - 1, index));
  [...list.children].forEach((row, at) => row.setAttribute('aria-selected', String(at === chosen && found.length > 0)));
  list.children[chosen]?.scrollIntoView({ block: 'nearest' });
  input.setAttribute('aria-activedescendant', found.length ? `place-${chosen}` : '');
}

export function palette() {
  const dialog = document.getElementById('palette');
  const list = document.getElementById('palette-list');
  const input = document.getElementById('palette-input');
  const open = async () => {
    if (dialog.open) { dialog.close(); return; }
    dialog.showModal();
    input.value = '';
    input.focus();
    if (!places) {
      const answer = await fetch('/palette.json');
      places = answer.ok ? (await answer.json()).places : [];
    }
    show(list, input);
  };
  document.addEventListener('keydown', (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === 'k') { event.preventDefault(); open(); }
  });
  document.addEventListener('click', (event) => {
    if (event.target.closest('[data-palette]')) open();
    else if (event.target === dialog) dialog.close();
  });
  input.addEventListener('input', () => places && show(list, input));
  input.addEventListener('keydown', (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) { event.preventDefault(); choose(list, input, chosen + step); }
    if (event.key === 'Enter') { event.preventDefault(); if (found[chosen]) location.assign(found[chosen].href); }
  });
}
