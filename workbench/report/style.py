"""The page's style sheet and its scripts: constants, because the policy names their hashes."""

CSS = """
:root{color-scheme:light dark;--page:#fff;--ink:#1b1b1b;--soft:#555;--line:#ddd;--rule:#888;--said:#eef5fb;
  --edge:#0072B2;--code:#f4f4f4;--bad:#fdeeee;--link:#005a8e}
@media (prefers-color-scheme:dark){:root{--page:#16191d;--ink:#e6e6e6;--soft:#a9b0b8;--line:#343a41;--rule:#7b838c;
  --said:#1d2a35;--edge:#56B4E9;--code:#22272d;--bad:#3a2020;--link:#7cc4f5}}
body{margin:0;background:var(--page);color:var(--ink);
  font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:60rem;margin:0 auto;padding:1.5rem 1rem 4rem;overflow-wrap:break-word}
a{color:var(--link)}
h1{font-size:1.7rem;line-height:1.25;margin:.5rem 0 1rem}
h2{font-size:1.25rem;margin:2.2rem 0 .6rem;border-bottom:1px solid var(--line);padding-bottom:.2rem}
.answer{background:var(--said);border-left:4px solid var(--edge);padding:.6rem 1rem;margin:1rem 0}
.answer p{margin:.3rem 0}
.wide{overflow-x:auto}
.wide table{min-width:min(100%,36rem)}
.wide caption{position:sticky;left:0;max-width:min(58rem,calc(100vw - 2rem))}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(22rem,1fr));gap:1rem}
.pair>div{min-width:0}
main:has(.pair){max-width:90rem}
table{border-collapse:collapse;margin:1rem 0;font-size:.92rem;font-variant-numeric:tabular-nums}
caption{caption-side:bottom;text-align:left;color:var(--soft);font-size:.86rem;padding-top:.3rem}
th,td{padding:.28rem .45rem;border-bottom:1px solid var(--line);text-align:right;vertical-align:top}
th:first-child{text-align:left;font-weight:600}
.word{text-align:left}
td:not(.word),.short{white-space:nowrap}
td wbr{white-space:normal}
.wide .word:not(.short){min-width:9rem}
footer td{white-space:normal}
thead th{border-bottom:2px solid var(--rule)}
figure{margin:1.2rem 0}
figcaption{color:var(--soft);font-size:.88rem}
img{max-width:100%}
noscript img{background:#fff}
details{margin:.4rem 0;color:var(--soft);font-size:.9rem}
summary{cursor:pointer}
pre{background:var(--code);padding:.6rem .8rem;overflow-x:auto;font-size:.85rem}
pre.error{background:var(--bad)}
code{background:var(--code);padding:0 .2em}
footer td{text-align:left;word-break:break-word}
input[type=search]{font:inherit;width:100%;max-width:30rem;padding:.45rem .6rem;border:1px solid var(--rule);
  border-radius:.3rem;background:var(--page);color:var(--ink)}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(16rem,1fr));gap:1rem;list-style:none;padding:0}
.cards>li{border:1px solid var(--line);border-radius:.4rem;padding:.7rem;min-width:0}
.cards>li[hidden]{display:none}
.cards img{display:block;width:100%;height:9rem;object-fit:contain;background:#fff;border-radius:.2rem}
.cards h2{font-size:1.02rem;border:0;margin:.5rem 0 .2rem}
.cards p{margin:.2rem 0;font-size:.86rem;color:var(--soft)}
:focus-visible{outline:3px solid var(--edge);outline-offset:2px}
@media (max-width:700px){.panels img{max-width:none}}
@media print{details{display:none}}
"""
DRAW = """
const NARROW = 700;  // pixels of a figure: side by side, a panel's label would lie on its neighbour
const dark = matchMedia('(prefers-color-scheme: dark)');
function stacked(figure) {  // the panels below each other, a line for each name, and room for names that turn
  const layout = figure.layout;
  const names = figure.data.filter((trace) => trace.showlegend !== false).length;
  const axes = Object.keys(layout).filter((key) => /^xaxis[0-9]*$/.test(key));
  const many = axes.length;
  const words = layout.xaxis.categoryarray || [];
  const turned = words.join('  ').length > 40 ? Math.min(100, 6 * Math.max(...words.map((word) => word.length))) : 0;
  const each = 290 + turned;
  layout.height = 90 + each * many + 26 * Math.max(0, names - 3);
  axes.forEach((key, i) => {
    const y = layout[key.replace('x', 'y')];
    layout[key].domain = [0, 1];
    y.domain = [1 - (i + 226 / each) / many, 1 - i / many];
    for (const axis of [layout[key], y]) axis.title.font = {size: 12};
    layout[key].title.text = layout[key].title.text.replace(/^(.{20,45}) (?=.{12})/, '$1<br>');
  });
  Object.assign(layout.legend, {y: -0.02, font: {size: 11}});
}
function darkened(figure) {
  const layout = figure.layout;
  Object.assign(layout, {paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)'});
  layout.font = {...layout.font, color: '#e6e6e6'};
  for (const key of Object.keys(layout)) {
    if (/^[xy]axis[0-9]*$/.test(key)) Object.assign(layout[key], {gridcolor: '#343a41', zerolinecolor: '#4a515a'});
  }
  for (const note of layout.annotations || []) note.font = {...note.font, color: '#a9b0b8'};
  for (const trace of figure.data) {  // black would not be seen
    for (const part of [trace.line, trace.marker, trace.error_y]) {
      if (part && part.color === '#000000') part.color = '#e6e6e6';
    }
  }
}
for (const data of document.querySelectorAll('script.figure')) {
  const place = document.getElementById(data.dataset.target);
  let narrow = false;
  const draw = () => {
    const figure = JSON.parse(data.textContent);
    narrow = place.clientWidth < NARROW;
    if (narrow) stacked(figure);
    if (dark.matches) darkened(figure);
    place.style.height = `${figure.layout.height}px`;  // drawn anew for a phone, plotly would leave it without any
    Plotly.react(place, figure.data, figure.layout,
      {displaylogo: false, responsive: true, modeBarButtons: [['zoom2d', 'pan2d', 'resetScale2d', 'toImage']]});
  };
  draw();
  addEventListener('resize', () => { if (narrow !== (place.clientWidth < NARROW)) draw(); });
  dark.addEventListener('change', draw);
}
"""
SEARCH = """
const field = document.querySelector('input[type=search]');
const cards = [...document.querySelectorAll('.cards>li')];
const found = document.querySelector('[aria-live]');
field.addEventListener('input', () => {
  const words = field.value.toLowerCase().split(/\\s+/).filter(Boolean);
  for (const card of cards) {
    const text = card.textContent.toLowerCase();
    card.hidden = !words.every((word) => text.includes(word));
  }
  found.textContent = `${cards.filter((card) => !card.hidden).length} of ${cards.length} reports`;
});
"""
