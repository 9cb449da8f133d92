"use strict";
/* A panel's card and what is drawn in it: lines, heat maps, and the same numbers as text. */
const Charts = (() => {
  const chartOf = (card) => card.querySelector(".chart");

  function card(panel) {
    const one = document.createElement("section");
    one.className = `panel empty${panel.wide ? " wide" : ""}`;
    one.id = panel.name;
    one.setAttribute("aria-label", panel.title);
    const title = document.createElement("h3"), question = document.createElement("p");
    title.textContent = panel.title;
    question.textContent = panel.question;
    one.append(title, question);
    one.insertAdjacentHTML("beforeend", `<div class="chart" role="img"></div>
      <div class="kinds"></div><div class="nothing">Nothing in this span.</div>`);
    chartOf(one).setAttribute("aria-label", `${panel.question} The numbers are in the table below.`);
    one.insertAdjacentHTML("beforeend", `<details><summary>Numbers</summary><table><thead><tr><th scope="col">Series</th>
      <th scope="col">now</th><th scope="col">least</th><th scope="col">most</th></tr></thead><tbody></tbody></table></details>`);
    if (panel.threshold) {
      const why = document.createElement("p");
      why.className = "why";
      why.textContent = `Worry from ${Look.format(panel.unit, panel.threshold.above)} on: ${panel.threshold.why}.`;
      one.querySelector(".kinds").after(why);
    }
    return one;
  }

  /* Between two trials nothing was measured: a hole, not a slope. */
  const holed = (points, step) => points.flatMap((point, place) =>
    place > 0 && point[0] - points[place - 1][0] > 2.5 * step
      ? [[points[place - 1][0] + step, null], [point[0] - step, null], point] : [point]);

  /* The same numbers as text, for those who cannot see the chart or want to copy them. */
  function table(one, panel, series) {
    if (!one.querySelector("details").open) return;
    const rows = series.map(({ name, points }) => {
      const values = points.map(([, value]) => value), row = document.createElement("tr");
      const told = [values.at(-1), Math.min(...values), Math.max(...values)];
      const unit = panel.kind === "heatmap" ? "per second" : panel.unit; // cells are answers a second
      for (const text of [name, ...told.map((value) => Look.format(unit, value))]) {
        const cell = document.createElement("td");
        cell.textContent = text;
        row.append(cell);
      }
      return row;
    });
    one.querySelector("tbody").replaceChildren(...rows);
  }

  function lines(one, panel, series, view) {
    const tops = new Map(series.map((each) => [each, Math.max(...each.points.map(([, value]) => value))]));
    const values = series.flatMap((each) => each.points.map(([, value]) => value));
    const most = Math.max(...tops.values()), least = Math.min(...values), bottom = Look.foot(panel, values);
    const shown = (value) => value === null || bottom === null ? value : Math.max(value, bottom); // zero, at the foot
    const sorted = [...series].sort((a, b) => tops.get(b) - tops.get(a)); // as the hover lists them
    const kindOf = (each) => each.labels.variant ? each.name.replace(each.labels.variant, "").trim() : "";
    const kinds = [...new Set(sorted.map(kindOf))].sort();
    const traces = sorted.map((each) => {
      const look = Look.style(each.labels.variant || each.name), points = holed(each.points, view.step);
      const dash = kinds.length > 1 ? Look.DASHES[kinds.indexOf(kindOf(each)) % Look.DASHES.length] : look.dash;
      return { type: "scatter", mode: points.length < 3 ? "lines+markers" : "lines", name: each.name,
        x: points.map(([at]) => Look.clock(at, view)), y: points.map(([, value]) => shown(value)), connectgaps: false,
        text: points.map(([, value]) => value === null ? "" : Look.format(panel.unit, value)), hovertemplate: "%{text}",
        line: { color: look.color, dash, width: 2 } };
    });
    const box = one.querySelector(".kinds");
    box.replaceChildren();
    for (const [place, kind] of kinds.length > 1 ? kinds.entries() : []) {
      const item = document.createElement("span");
      item.innerHTML = Look.stroke(Look.css("--faint"), Look.DASHES[place % Look.DASHES.length]);
      item.append(kind || "all");
      box.append(item);
    }
    Plotly.react(chartOf(one), traces, Look.layout(panel, view, most, least, bottom), { displayModeBar: false, responsive: true });
  }

  /* One map for each variant, under its name; without `repeat`, one for all of them. */
  function heats(one, panel, series, view) {
    const box = chartOf(one), byVariant = new Map();
    for (const each of series) {
      const name = panel.repeat && each.labels.variant || "all variants";
      byVariant.has(name) ? byVariant.get(name).push(each) : byVariant.set(name, [each]);
    }
    box.classList.add("maps");
    const old = new Map([...box.children].map((map) => [map.dataset.variant, map]));
    for (const name of [...byVariant.keys()].sort()) {
      const map = old.get(name) || document.createElement("figure");
      if (!old.delete(name)) {
        map.dataset.variant = name;
        map.append(Object.assign(document.createElement("figcaption"), { textContent: name }), document.createElement("div"));
      }
      box.append(map); // in the order of names, those that came later too
      if (!heat(map.lastChild, panel, byVariant.get(name), view)) old.set(name, map);
    }
    for (const map of old.values()) {
      Plotly.purge(map.lastChild);
      map.remove();
    }
    one.classList.toggle("empty", box.children.length === 0);
  }

  /* Buckets count everything up to their edge: a cell is the difference to the one below. Returns whether any is filled. */
  function heat(where, panel, series, view) {
    const byEdge = new Map();
    for (const each of series) {
      const edge = each.labels.le === "+Inf" ? Infinity : Number(each.labels.le);
      if (!byEdge.has(edge)) byEdge.set(edge, new Map());
      for (const [at, value] of each.points) byEdge.get(edge).set(at, (byEdge.get(edge).get(at) || 0) + value);
    }
    const edges = [...byEdge].sort(([a], [b]) => a - b);
    const seen = [...new Set(edges.flatMap(([, points]) => [...points.keys()]))].sort((a, b) => a - b);
    const times = holed(seen.map((at) => [at]), view.step).map(([at]) => at); // an empty column ends what was seen before it
    const rows = edges.map(([, points], place) => times.map((at) =>
      Math.max(0, (points.get(at) || 0) - (place > 0 ? edges[place - 1][1].get(at) || 0 : 0))));
    const used = rows.map((row) => row.some((value) => value > 0)), first = used.indexOf(true), last = used.lastIndexOf(true);
    if (first < 0) return false;
    const label = (edge) => edge === Infinity ? "more" : Look.format(panel.unit, edge);
    const trace = { type: "heatmap", x: times.map((at) => Look.clock(at, view)), y: edges.slice(first, last + 1).map(([edge]) => label(edge)),
      z: rows.slice(first, last + 1).map((row) => row.map((value) => value > 0 ? value : null)), colorscale: "Viridis",
      showscale: false, hovertemplate: "up to %{y}: %{z:.3s}/s<extra></extra>" };
    Plotly.react(where, [trace], Look.layout(panel, view, 0, 0), { displayModeBar: false, responsive: true });
    return true;
  }

  /* Draw a panel's series, or say that there are none. view: from, to, step, lined. */
  function draw(one, panel, series, view) {
    one.classList.toggle("empty", series.length === 0);
    if (series.length > 0) {
      table(one, panel, series);
      (panel.kind === "heatmap" ? heats : lines)(one, panel, series, view);
    }
    one.dataset.drawn = String(series.length);
  }

  return { card, draw };
})();
