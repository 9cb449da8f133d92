"use strict";
/* How numbers and series look: units, colours that a colour-blind reader can tell apart, the Plotly layout.
 *
 * Colours: Okabe and Ito's eight, with dashes for a second and third round, so that twenty variants stay apart in print. */
const Look = (() => {
  const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#7f7f7f"];
  const DASHES = ["solid", "dash", "dot", "dashdot"];
  const order = [];

  function style(variant) {
    if (!order.includes(variant)) order.push(variant);
    const place = order.indexOf(variant);
    return { color: COLOURS[place % COLOURS.length], dash: DASHES[Math.floor(place / COLOURS.length) % DASHES.length] };
  }

  function prefixed(value, base, names, unit) {
    let step = 0;
    while (Math.abs(value) >= base && step < names.length - 1) { value /= base; step += 1; }
    return `${Number(value.toPrecision(3))} ${names[step]}${unit}`.trim();
  }

  const UNITS = {
    "seconds": (v) => v >= 1 || v === 0 ? `${Number(v.toPrecision(3))} s`
      : v >= 1e-3 ? `${Number((v * 1e3).toPrecision(3))} ms` : `${Number((v * 1e6).toPrecision(3))} µs`,
    "bytes": (v) => prefixed(v, 1024, ["", "Ki", "Mi", "Gi"], "B"),
    "per second": (v) => prefixed(v, 1000, ["", "k", "M"], "/s"),
    "ratio": (v) => `${Number((v * 100).toPrecision(3))} %`,
    "count": (v) => prefixed(v, 1000, ["", "k", "M"], ""),
    "cores": (v) => `${Number(v.toPrecision(3))} cores`,
  };
  const format = (unit, value) => (UNITS[unit] || String)(value);

  function ticks(unit, most) {
    const top = most > 0 ? most : 1, values = [0, 0.25, 0.5, 0.75, 1].map((part) => part * top);
    return { tickvals: values, ticktext: values.map((value) => format(unit, value)) };
  }

  function css(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }

  /* Plotly knows no time zones: what it is given as UTC is made to read as the reader's own clock. */
  const clock = (at) => at * 1000 - new Date(at * 1000).getTimezoneOffset() * 60000;

  /* A stroke to put beside a name. */
  function stroke(color, dash) {
    const gaps = { solid: "", dash: "6 3", dot: "2 3", dashdot: "6 2 2 2" }[dash];
    return `<svg aria-hidden="true" viewBox="0 0 36 10"><line x1="0" x2="36" y1="5" y2="5" stroke="${color}" stroke-width="4"
      stroke-dasharray="${gaps}"/></svg>`;
  }

  function layout(panel, from, to, most) {
    const shapes = panel.threshold && panel.threshold.above <= most * 1.05 ? [{ type: "line", xref: "paper", x0: 0, x1: 1,
      y0: panel.threshold.above, y1: panel.threshold.above, line: { color: "#d55e00", width: 1, dash: "dot" } }] : [];
    return {
      margin: { l: 56, r: 8, t: 6, b: 24 }, paper_bgcolor: "transparent", plot_bgcolor: "transparent", showlegend: false,
      font: { color: css("--faint"), size: 12, family: "system-ui, sans-serif" }, hovermode: "x", shapes,
      xaxis: { type: "date", range: [clock(from), clock(to)], gridcolor: css("--line"), fixedrange: true,
        tickformat: to - from > 2 * 86400 ? "%b %e" : "%H:%M:%S", nticks: 6,
        ticklabeloverflow: "hide past domain" },
      yaxis: panel.kind === "heatmap" ? { gridcolor: css("--line"), fixedrange: true, type: "category", automargin: true }
        : { rangemode: "tozero", automargin: true, gridcolor: css("--line"), fixedrange: true, ...ticks(panel.unit, most) },
    };
  }

  return { DASHES, style, stroke, clock, format, layout, css };
})();
