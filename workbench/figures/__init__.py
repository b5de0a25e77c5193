"""One look for every figure: a chart is data, drawn by plotly in reports and by matplotlib as SVG or PNG."""
