"""The page's style sheet and the script that draws its figures: constants, because the policy names their hashes."""

CSS = """
:root{color-scheme:light}
body{margin:0;background:#fff;color:#1b1b1b;
  font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:60rem;margin:0 auto;padding:1.5rem 1rem 4rem;overflow-wrap:break-word}
h1{font-size:1.7rem;line-height:1.25;margin:.5rem 0 1rem}
h2{font-size:1.25rem;margin:2.2rem 0 .6rem;border-bottom:1px solid #ddd;padding-bottom:.2rem}
.answer{background:#eef5fb;border-left:4px solid #0072B2;padding:.6rem 1rem;margin:1rem 0}
.answer p{margin:.3rem 0}
.wide{overflow-x:auto}
table{border-collapse:collapse;margin:1rem 0;font-size:.92rem;font-variant-numeric:tabular-nums}
caption{caption-side:bottom;text-align:left;color:#555;font-size:.86rem;padding-top:.3rem}
th,td{padding:.28rem .55rem;border-bottom:1px solid #e2e2e2;text-align:right;vertical-align:top}
th:first-child{text-align:left;font-weight:600}
.word{text-align:left}
td:not(.word){white-space:nowrap}
footer td{white-space:normal}
thead th{border-bottom:2px solid #888}
figure{margin:1.2rem 0}
figcaption{color:#555;font-size:.88rem}
img{max-width:100%}
details{margin:.4rem 0;color:#444;font-size:.9rem}
summary{cursor:pointer;color:#6b6b6b}
pre{background:#f6f6f6;padding:.6rem .8rem;overflow-x:auto;font-size:.85rem}
pre.error{background:#fdeeee}
code{background:#f2f2f2;padding:0 .2em}
footer td{text-align:left;word-break:break-word}
@media print{details{display:none}}
"""
DRAW = """
const narrow = matchMedia('(max-width: 700px)');
function stacked(wide) {  // the panels below each other
  const layout = structuredClone(wide);
  const axes = Object.keys(layout).filter((key) => /^xaxis[0-9]*$/.test(key));
  const many = axes.length;
  layout.height = 90 + 290 * many;
  axes.forEach((key, i) => {
    layout[key].domain = [0, 1];
    layout[key.replace('x', 'y')].domain = [1 - (i + 0.78) / many, 1 - i / many];
  });
  layout.legend.y = -0.02;
  return layout;
}
for (const data of document.querySelectorAll('script.figure')) {
  const figure = JSON.parse(data.textContent);
  const draw = () => Plotly.react(document.getElementById(data.dataset.target), figure.data,
    narrow.matches ? stacked(figure.layout) : structuredClone(figure.layout),
    {displaylogo: false, responsive: true, modeBarButtons: [['zoom2d', 'pan2d', 'resetScale2d', 'toImage']]});
  draw();
  narrow.addEventListener('change', draw);
}
"""
