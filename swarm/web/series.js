"use strict";
/* How numbers and series look: units, colours that a colour-blind reader can tell apart, the Plotly layout.
 *
 * Colours: searched for, so that each stands out from its background and from the others for eyes of every kind (what
 * tests/unit/test_live_page.py computes), with dashes for a second and third round: twenty variants stay apart in print. */
const Look = (() => {
  const COLOURS = {
    light: ["#0094ba", "#ff360d", "#634485", "#62994e", "#3d5245", "#c1376a", "#8b9b31", "#575db6"],
    dark: ["#34baff", "#ffaa5f", "#865d90", "#0a7b54", "#aebbc7", "#b64b00", "#f3e414", "#7259e7"],
  };
  const DASHES = ["solid", "dash", "dot", "dashdot", "longdash"];
  const order = [];

  function style(variant) {
    if (!order.includes(variant)) order.push(variant);
    const place = order.indexOf(variant), colours = COLOURS[document.documentElement.dataset.theme] || COLOURS.light;
    return { color: colours[place % colours.length], dash: DASHES[Math.floor(place / colours.length) % DASHES.length] };
  }

  function prefixed(value, base, names, unit) {
    let step = 0;
    while (Math.abs(value) >= base && step < names.length - 1) { value /= base; step += 1; }
    return `${Number(value.toPrecision(3))} ${names[step]}${unit}`.trim();
  }

  const UNITS = {
    "seconds": (v) => Math.abs(v) >= 1 || v === 0 ? `${Number(v.toPrecision(3))} s`
      : Math.abs(v) >= 1e-3 ? `${Number((v * 1e3).toPrecision(3))} ms` : `${Number((v * 1e6).toPrecision(3))} µs`,
    "bytes": (v) => prefixed(v, 1024, ["", "Ki", "Mi", "Gi"], "B"),
    "per second": (v) => prefixed(v, 1000, ["", "k", "M"], "/s"),
    "ratio": (v) => `${Number((v * 100).toPrecision(3))} %`,
    "count": (v) => prefixed(v, 1000, ["", "k", "M"], ""),
    "cores": (v) => `${Number(v.toPrecision(3))} cores`,
  };
  const format = (unit, value) => (UNITS[unit] || String)(value);

  /* Some five marks at round numbers, from nothing to the most; where below zero means something, from the least. */
  function ticks(panel, most, least) {
    const bottom = panel.signed ? Math.min(0, least) : 0, room = Math.max(0, most) - bottom || 1;
    const power = 10 ** Math.floor(Math.log10(room / 6));
    const step = panel.unit === "bytes" ? 2 ** Math.ceil(Math.log2(room / 5))
      : [1, 2, 2.5, 5, 10].find((round) => round * power >= room / 6) * power, values = [];
    for (let n = Math.ceil(bottom / step); n * step <= bottom + room * 1.01; n += 1) values.push(n * step);
    return { tickvals: values, ticktext: values.map((value) => format(panel.unit, value)) };
  }

  const power = (value) => Number(Math.log10(value).toFixed(9)); // a decade's is whole, whatever the logarithm makes of it

  /* Where a logarithmic axis begins: at a whole decade, so that it stands still while the values move. null: the axis is
   * linear, as it also is while nothing is above zero. */
  function foot(panel, values) {
    const least = panel.scale === "log" ? Math.min(...values.filter((value) => value > 0)) : Infinity;
    return least === Infinity ? null : Number(`1e${Math.floor(power(least))}`);
  }

  /* Whole decades from the foot to the most; with steps between them where there are few. */
  function decades(panel, bottom, most) {
    const first = power(bottom), last = Math.max(first + 1, Math.ceil(power(most))), values = [];
    for (let n = first; n < last; n += 1) for (const digit of last - first < 3 ? [1, 2, 5] : [1]) values.push(Number(`${digit}e${n}`));
    values.push(Number(`1e${last}`));
    return { type: "log", range: [first, last], tickvals: values, ticktext: values.map((value) => format(panel.unit, value)) };
  }

  function css(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }

  /* Plotly knows no time zones: what it is given as UTC is made to read as the reader's own clock. Lined up, trials are
   * told in seconds from their start. */
  const clock = (at, view) => view.lined ? at : at * 1000 - new Date(at * 1000).getTimezoneOffset() * 60000;

  /* A stroke to put beside a name. */
  function stroke(color, dash) {
    const gaps = { solid: "", dash: "6 3", dot: "2 3", dashdot: "6 2 2 2", longdash: "12 4" }[dash];
    return `<svg aria-hidden="true" viewBox="0 0 36 10"><line x1="0" x2="36" y1="5" y2="5" stroke="${color}" stroke-width="4"
      stroke-dasharray="${gaps}"/></svg>`;
  }

  function layout(panel, view, most, least, bottom = null) {
    const shapes = panel.threshold && panel.threshold.above <= most * 1.05 ? [{ type: "line", xref: "paper", x0: 0, x1: 1,
      y0: panel.threshold.above, y1: panel.threshold.above, line: { color: "#d55e00", width: 1, dash: "dot" } }] : [];
    return {
      margin: { l: 56, r: 8, t: 6, b: 24 }, paper_bgcolor: "transparent", plot_bgcolor: "transparent", showlegend: false,
      font: { color: css("--faint"), size: 12, family: "system-ui, sans-serif" }, hovermode: "x", shapes,
      xaxis: { range: [clock(view.from, view), clock(view.to, view)], gridcolor: css("--line"), fixedrange: true, nticks: 6,
        ticklabeloverflow: "hide past domain",
        ...(view.lined ? { type: "linear", ticksuffix: " s", tickformat: "" } : { type: "date", tickformat: view.to - view.from > 2 * 86400 ? "%b %e" : "%H:%M:%S" }) },
      yaxis: panel.kind === "heatmap" ? { gridcolor: css("--line"), fixedrange: true, type: "category", automargin: true }
        : { automargin: true, gridcolor: css("--line"), fixedrange: true, ...(bottom === null
          ? { type: "linear", rangemode: panel.signed ? "normal" : "tozero", ...ticks(panel, most, least) } : decades(panel, bottom, most)) },
    };
  }

  return { DASHES, style, stroke, clock, format, foot, layout, css };
})();
