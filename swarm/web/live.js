"use strict";
/* The live page: the panels that Grafana has too, asked of Prometheus once a second and drawn side by side.
 *
 * Only panels in sight are asked for and drawn, one request each, never two at a time for the same panel: the machine
 * that is watched is the one that answers. */
(() => {
  const $ = (id) => document.getElementById(id);
  const state = { told: null, page: null, variants: new Set(), off: new Set(), paused: false, run: "", baseline: "", from: 0, busy: new Set() };
  const seen = new Set(); // names of panels in sight
  const sight = new IntersectionObserver((entries) => {
    for (const entry of entries) entry.isIntersecting ? seen.add(entry.target.id) : seen.delete(entry.target.id);
  }, { rootMargin: "200px" });

  async function ask(path, parameters) {
    const url = `http://${location.hostname}:${state.told.prometheus_port}/api/v1/${path}?` + new URLSearchParams(parameters);
    const answer = await fetch(url, { signal: AbortSignal.timeout(5000) });
    const told = await answer.json();
    if (told.status !== "success") throw new Error(told.error || answer.statusText);
    return told.data;
  }

  function say(text, trouble) {
    const line = $("status");
    if (line.textContent !== text) line.textContent = text;
    line.toggleAttribute("data-trouble", Boolean(trouble));
  }

  function options(select, values, chosen, labels = {}) {
    const same = [...select.options].map((one) => one.value).join("\n") === values.join("\n");
    if (!same) select.replaceChildren(...values.map((value) => new Option(labels[value] || value, value)));
    if (values.includes(chosen)) select.value = chosen;
  }

  /* What there is to look at: runs of the span, newest first; of the chosen run its scenarios and variants. */
  async function look(now) {
    const span = Number($("span").value) || 3600, at = { start: now - span, end: now };
    const runs = await ask("label/run_id/values", { ...at, "match[]": "lab_client_users" });
    const moved = await ask("query", { query: "max by (run_id) (timestamp(lab_client_users))", time: now });
    const latest = new Map(moved.result.map((one) => [one.metric.run_id, Number(one.value[1])]));
    runs.sort((a, b) => (latest.get(b) || 0) - (latest.get(a) || 0) || b.localeCompare(a));
    options($("run"), ["", ...runs], $("run").value, { "": "the one under way" });
    state.run = $("run").value || runs[0] || "";
    const kept = (await ask("query", { query: "lab_run_info", time: now })).result.map((one) => one.metric.run_id).sort().reverse();
    options($("baseline"), ["", ...kept], $("baseline").value, { "": "the run before" });
    state.baseline = $("baseline").value || kept.find((id) => id < state.run) || state.run;
    const match = { ...at, "match[]": `{__name__=~"lab_client_users|lab_server_up",run_id="${state.run}"}` };
    const scenarios = state.run ? (await ask("label/scenario/values", match)).filter(Boolean) : [];
    options($("scenario"), ["", ...scenarios], $("scenario").value, { "": "all" });
    for (const name of state.run ? await ask("label/variant/values", match) : []) {
      if (name && name !== "all" && !name.startsWith("arena")) state.variants.add(name);
    }
    state.from = now - span;
    if (state.run && !Number($("span").value)) {
      const first = await ask("query_range", { query: `count(lab_client_users{run_id="${state.run}"})`, ...at, step: 5 });
      if (first.result.length > 0) state.from = Math.min(first.result[0].values[0][0] - 5, now - 30);
    }
    return state.run;
  }

  function chips() {
    const box = $("variants");
    for (const name of [...state.variants].sort()) { // colours by the alphabet, not by who answered first
      if (box.querySelector(`[data-variant="${CSS.escape(name)}"]`)) continue;
      const { color, dash } = Look.style(name), label = document.createElement("label");
      label.dataset.variant = name;
      label.innerHTML = `<input type="checkbox" checked>${Look.stroke(color, dash)}`;
      label.append(name);
      label.firstChild.addEventListener("change", (event) => {
        event.target.checked ? state.off.delete(name) : state.off.add(name);
        tick(true);
      });
      box.append(label);
    }
  }

  function filled(expression) {
    const scenario = $("scenario").value || ".*", on = [...state.variants].filter((name) => !state.off.has(name));
    const variants = state.off.size === 0 ? ".*" : on.join("|") || "nobody";
    const any = `scenario=~"${scenario}",variant=~"${variants}"`;
    const letters = { S: `run_id="${state.run}",${any}`, B: `run_id="${state.baseline}",${any}`, H: any, K: 'suite=~".*"',
      I: "5s", Q: $("quantile").value, E: "end()" };
    return expression.replace(/\$([SIQBHKE])(?![a-z_])/g, (_, letter) => letters[letter]);
  }

  const named = (legend, labels) => legend.replace(/\{\{(\w+)\}\}/g, (_, key) => labels[key] || "").trim() || "all";
  const numbers = (values) => values.map(([at, text]) => [at, Number(text)]).filter(([, value]) => Number.isFinite(value));

  async function draw(panel, from, to) {
    const card = $(panel.name);
    if (state.busy.has(panel.name) || !seen.has(panel.name)) return;
    state.busy.add(panel.name);
    try {
      const step = Math.max(1, Math.ceil((to - from) / 300));
      const asked = await Promise.all(panel.queries.map((query) =>
        ask("query_range", { query: filled(query.expression), start: from, end: to, step })));
      const series = asked.flatMap((data, place) => data.result.map((one) => ({
        name: named(panel.queries[place].legend, one.metric), labels: one.metric, points: numbers(one.values), place,
      }))).filter((one) => one.points.length > 0);
      card.classList.toggle("empty", series.length === 0);
      if (series.length > 0) panel.kind === "heatmap" ? heat(panel, series, from, to) : lines(panel, series, from, to, step);
      card.dataset.drawn = String(series.length);
    } catch (error) {
      say(`Prometheus does not answer: ${error.message}. It is asked again every second.`, true);
    } finally {
      state.busy.delete(panel.name);
    }
  }

  /* Between two trials nothing was measured: a hole, not a slope. */
  const holed = (points, step) => points.flatMap((point, place) =>
    place > 0 && point[0] - points[place - 1][0] > 2.5 * step ? [[point[0] - step, null], point] : [point]);

  function lines(panel, series, from, to, step) {
    table(panel, series);
    const tops = new Map(series.map((one) => [one, Math.max(...one.points.map(([, value]) => value))]));
    const most = Math.max(...tops.values());
    series = series.sort((a, b) => tops.get(b) - tops.get(a)).map((one) => ({ ...one, points: holed(one.points, step) }));
    const kindOf = (one) => one.labels.variant ? one.name.replace(one.labels.variant, "").trim() : "";
    const kinds = [...new Set(series.map(kindOf))];
    const dashOf = (one, look) => kinds.length > 1 ? Look.DASHES[kinds.indexOf(kindOf(one)) % Look.DASHES.length] : look.dash;
    const traces = series.map((one) => {
      const look = Look.style(one.labels.variant || one.name);
      return { type: "scatter", mode: one.points.length < 3 ? "lines+markers" : "lines", name: one.name,
        x: one.points.map(([at]) => Look.clock(at)), y: one.points.map(([, value]) => value), connectgaps: false,
        text: one.points.map(([, value]) => value === null ? "" : Look.format(panel.unit, value)), hovertemplate: "%{text}",
        line: { color: look.color, dash: dashOf(one, look), width: 2 } };
    });
    $(panel.name).querySelector(".kinds").innerHTML = kinds.length > 1
      ? kinds.map((kind, place) => `<span>${Look.stroke(Look.css("--faint"), Look.DASHES[place % 4])}${kind}</span>`).join("") : "";
    Plotly.react(chartOf(panel), traces, Look.layout(panel, from, to, most), { displayModeBar: false, responsive: true });
  }

  /* Buckets count everything up to their edge: a cell is the difference to the one below. */
  function heat(panel, series, from, to) {
    const edges = series.map((one) => ({ edge: one.labels.le === "+Inf" ? Infinity : Number(one.labels.le), points: new Map(one.points) }))
      .sort((a, b) => a.edge - b.edge);
    const times = [...new Set(series.flatMap((one) => one.points.map(([at]) => at)))].sort((a, b) => a - b);
    const rows = edges.map((one, place) => times.map((at) =>
      Math.max(0, (one.points.get(at) || 0) - (place > 0 ? edges[place - 1].points.get(at) || 0 : 0))));
    const used = rows.map((row) => row.some((value) => value > 0));
    const first = used.indexOf(true), last = used.lastIndexOf(true);
    if (first < 0) { $(panel.name).classList.add("empty"); return; }
    const shown = edges.slice(first, last + 1);
    const label = (edge) => edge === Infinity ? "more" : Look.format(panel.unit, edge);
    const trace = { type: "heatmap", x: times.map(Look.clock), y: shown.map((one) => label(one.edge)),
      z: rows.slice(first, last + 1).map((row) => row.map((value) => value > 0 ? value : null)), colorscale: "Viridis",
      showscale: false, hovertemplate: "up to %{y}: %{z:.3s}/s<extra></extra>" };
    Plotly.react(chartOf(panel), [trace], Look.layout(panel, from, to, 0), { displayModeBar: false, responsive: true });
  }

  const chartOf = (panel) => $(panel.name).querySelector(".chart");

  /* The same numbers as text, for those who cannot see the chart or want to copy them. */
  function table(panel, series) {
    const details = $(panel.name).querySelector("details");
    if (!details.open) return;
    const rows = series.map((one) => {
      const values = one.points.map(([, value]) => value), row = document.createElement("tr");
      for (const text of [one.name, ...[values.at(-1), Math.min(...values), Math.max(...values)].map((v) => Look.format(panel.unit, v))]) {
        const cell = document.createElement("td");
        cell.textContent = text;
        row.append(cell);
      }
      return row;
    });
    details.querySelector("tbody").replaceChildren(...rows);
  }

  function build(page) {
    state.page = page;
    sight.disconnect();
    seen.clear();
    const parts = [];
    for (const row of page.rows) {
      const heading = document.createElement("h2"), grid = document.createElement("div");
      heading.textContent = row.heading;
      grid.className = "row";
      for (const panel of row.panels) grid.append(card(panel));
      parts.push(heading, grid);
    }
    $("panels").replaceChildren(...parts);
    for (const one of $("panels").querySelectorAll(".panel")) sight.observe(one);
    for (const button of $("pages").children) {
      button.dataset.uid === page.uid ? button.setAttribute("aria-current", "page") : button.removeAttribute("aria-current");
    }
  }

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
      <div class="kinds"></div><div class="nothing">Nothing yet in this span.</div>`);
    one.querySelector(".chart").setAttribute("aria-label", `${panel.question} The numbers are in the table below.`);
    if (panel.kind !== "heatmap") {
      one.insertAdjacentHTML("beforeend", `<details><summary>Numbers</summary><table><thead><tr><th scope="col">Series</th>
        <th scope="col">now</th><th scope="col">least</th><th scope="col">most</th></tr></thead><tbody></tbody></table></details>`);
      one.querySelector("details").addEventListener("toggle", () => tick(true));
    }
    return one;
  }

  async function tick(once) {
    if (state.told && (!state.paused || once === true)) {
      const now = Date.now() / 1000;
      try {
        const run = await look(now);
        chips();
        const names = [...state.variants].length;
        say(run ? `Run ${run}: ${names} variant${names === 1 ? "" : "s"}` + (state.paused ? ", paused" : "")
          : "No load yet. Start a swarm on Locust's page, or: lab run quick");
        const from = state.page.of_past ? now - state.page.since_s : state.from;
        await Promise.all(state.page.rows.flatMap((row) => row.panels).map((panel) => draw(panel, from, now)));
      } catch (error) {
        say(`Prometheus does not answer: ${error.message}. It is asked again every second.`, true);
      }
    }
    if (once !== true) setTimeout(tick, 1000);
  }

  function theme(dark) {
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    tick(true);
  }

  async function begin() {
    state.told = await (await fetch("lab/live/panels.json")).json();
    for (const page of state.told.dashboards) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = page.title;
      button.title = page.summary;
      button.dataset.uid = page.uid;
      button.addEventListener("click", () => { build(page); tick(true); });
      $("pages").append(button);
    }
    build(state.told.dashboards[0]);
    for (const id of ["run", "baseline", "scenario", "quantile", "span"]) {
      $(id).addEventListener("change", () => {
        if (id === "run") { state.variants.clear(); $("variants").querySelectorAll("label").forEach((one) => one.remove()); }
        tick(true);
      });
    }
    $("pause").addEventListener("click", () => {
      state.paused = !state.paused;
      $("pause").setAttribute("aria-pressed", String(state.paused));
      $("pause").textContent = state.paused ? "Go on" : "Pause";
    });
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", (event) => theme(event.matches));
    $("theme").addEventListener("click", () => theme(document.documentElement.dataset.theme !== "dark"));
    document.documentElement.dataset.theme = dark.matches ? "dark" : "light";
    tick();
  }
  begin().catch((error) => say(`The page could not be set up: ${error.message}`, true));
})();
