// The line of evidence through time: both e-values on a logarithmic scale, their thresholds, the share behind them.
const drawn = new WeakMap();

// A role of colour as the canvas needs it: what it comes to now, in the colours that the page has now.
function colour(name) {
  const probe = document.createElement('i');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
const FONT = '11px ui-sans-serif, system-ui, "Noto Sans", "Liberation Sans", sans-serif';

const tens = (value) => value !== null && Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-6;
const decades = (u, all) => all.map((one) => (tens(one) ? one : null));
const day = (seconds) => new Date(seconds * 1000).toDateString();
function stamp(seconds, step, withDay) {
  const at = new Date(seconds * 1000);
  const date = at.toLocaleDateString(undefined, { day: 'numeric', month: 'short' });
  const time = at.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit', hour12: false });
  return step >= 86400 ? date : withDay ? `${time}\n${date}` : time;
}

function data(page) {
  const x = [], win = [], guard = [], weight = [];
  for (const point of page.curve) {
    x.push(Date.parse(point.at) / 1000);
    win.push(Math.max(point.e_win, 0.01));
    guard.push(Math.max(point.e_guard, 0.01));
    weight.push(point.weight_percent);
  }
  return [x, weight, win, guard];
}

function options(page, place) {
  const limits = page.evidence.thresholds;
  const line = (u, value, stroke, word) => {
    const y = u.valToPos(value, 'e', true);
    u.ctx.save();
    u.ctx.strokeStyle = stroke;
    u.ctx.setLineDash([6 * devicePixelRatio, 5 * devicePixelRatio]);
    u.ctx.lineWidth = devicePixelRatio;
    u.ctx.beginPath();
    u.ctx.moveTo(u.bbox.left, y);
    u.ctx.lineTo(u.bbox.left + u.bbox.width, y);
    u.ctx.stroke();
    u.ctx.fillStyle = stroke;
    u.ctx.textAlign = 'right';
    u.ctx.textBaseline = 'bottom';
    u.ctx.setLineDash([]);
    u.ctx.strokeStyle = colour('--surface');
    u.ctx.lineWidth = 4 * devicePixelRatio;
    u.ctx.font = FONT.replace('11px', `${11 * devicePixelRatio}px`);
    const spot = [word, u.bbox.left + u.bbox.width - 6 * devicePixelRatio, y - 3 * devicePixelRatio];
    u.ctx.strokeText(...spot);
    u.ctx.fillText(...spot);
    u.ctx.restore();
  };
  const events = page.events.filter((one) => one.action !== 'hold');
  const marks = (u) => {
    u.ctx.save();
    u.ctx.strokeStyle = colour('--line-strong');
    u.ctx.fillStyle = colour('--faint');
    u.ctx.font = FONT.replace('11px', `${11 * devicePixelRatio}px`);
    u.ctx.lineWidth = devicePixelRatio;
    let last = -1e9;
    for (const one of [...events].reverse()) {
      const x = u.valToPos(Date.parse(one.at) / 1000, 'x', true);
      u.ctx.beginPath();
      u.ctx.moveTo(x, u.bbox.top);
      u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
      u.ctx.stroke();
      const word = one.action === 'ramp' ? `${one.weight_percent} %` : one.action.replaceAll('_', ' ');
      const wide = u.ctx.measureText(word).width + 10 * devicePixelRatio;
      const left = x + wide > u.bbox.left + u.bbox.width ? x - wide + 4 * devicePixelRatio : x + 5 * devicePixelRatio;
      if (left > last) { u.ctx.fillText(word, left, u.bbox.top - 5 * devicePixelRatio); last = left + wide; }
    }
    u.ctx.restore();
  };
  const axis = { stroke: colour('--faint'), grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false }, font: FONT };
  const highest = 1.8 * Math.max(limits.win, limits.hard_guard, ...page.curve.map((one) => Math.max(one.e_win, one.e_guard)));
  const lowest = Math.max(0.01, Math.min(0.5, ...page.curve.map((one) => Math.min(one.e_win || 1, one.e_guard || 1))));
  const number = (value) => value >= 1e4 ? value.toExponential(0) : String(+value.toPrecision(3));
  return {
    width: place.clientWidth, height: place.clientHeight - 24, cursor: { y: false, points: { size: 7 } }, legend: { show: false },
    padding: [20, 6, 0, 0],
    scales: { x: { time: true }, e: { distr: 3, range: [lowest, highest] }, w: { range: [0, 100] } },
    axes: [
      { ...axis, space: 70, values: (u, all, index, space, step) => all.map((one, at) => stamp(one, step, at === 0 || day(one) !== day(all[at - 1]))) },
      { ...axis, scale: 'e', size: 52, filter: decades, grid: { ...axis.grid, filter: decades }, values: (u, all) => all.map((one) => (one === null ? '' : number(one))) },
      { ...axis, scale: 'w', side: 1, size: 48, grid: { show: false }, splits: [0, 50, 100], values: (u, all) => all.map((one) => `${one} %`) },
    ],
    series: [
      {},
      { label: 'share', scale: 'w', stroke: 'transparent', fill: colour('--idle-soft'), width: 0, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } },
      { label: 'better', scale: 'e', stroke: colour('--accent'), width: 2.2, points: { show: page.curve.length < 40, size: 5, fill: colour('--accent') } },
      { label: 'worse', scale: 'e', stroke: colour('--bad'), width: 1.8, points: { show: page.curve.length < 40, size: 4, fill: colour('--bad') } },
    ],
    hooks: {
      drawSeries: [(u, index) => { if (index === 3) { line(u, limits.win, colour('--accent'), `better at ${number(limits.win)}`); line(u, limits.hard_guard, colour('--bad'), `worse at ${number(limits.hard_guard)}`); } }],
      draw: [marks],
      setCursor: [(u) => {
        const one = page.curve[u.cursor.idx ?? page.curve.length - 1];
        const told = place.querySelector('.readout');
        if (told) told.textContent = `look ${one.seq}, ${stamp(Date.parse(one.at) / 1000, 0, true).replace('\n', ', ')}: better ${number(one.e_win)} · worse ${number(one.e_guard)} · share ${one.weight_percent} % · ${one.labels} labels. ${one.sentence}`;
      }],
    },
  };
}

async function draw(place) {
  const answer = await fetch(place.dataset.chart, { headers: { Accept: 'application/json' } });
  if (!answer.ok || !place.isConnected) return;
  const page = await answer.json();
  const before = drawn.get(place);
  before?.plot.destroy();
  place.replaceChildren();
  const series = data(page);
  const plot = new uPlot(options(page, place), series, place);
  const told = document.createElement('p');
  told.className = 'readout';
  place.append(told);
  plot.setCursor({ left: -10, top: -10 });
  drawn.set(place, { plot, page });
}

export function drawCharts() {
  if (!('uPlot' in window)) return;
  for (const place of document.querySelectorAll('[data-chart]')) draw(place);
}

let resizing = 0;
addEventListener('resize', () => { clearTimeout(resizing); resizing = setTimeout(drawCharts, 150); });
document.addEventListener('surefoot:theme', drawCharts);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawCharts);
