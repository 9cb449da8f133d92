"use strict";
/* The live page: the panels that Grafana has too, side by side, once a second from Prometheus or once from kept files.
 *
 * Only panels in sight are asked for and drawn, one request each, never two at a time for the same panel: the machine
 * that is watched is the one that answers. */
(() => {
  const $ = (id) => document.getElementById(id);
  const choice = { run: "", baseline: "", scenario: "", quantile: "", span: 0, lined: false, page: {}, off: new Set(), variants: new Set() };
  const state = { told: null, source: null, run: "", pausedAt: 0, isBusy: false, again: false };
  const panels = new Map(); // those of the page shown, by name
  const seen = new Set(); // names of panels in sight
  const sight = new IntersectionObserver((entries) => {
    for (const entry of entries) entry.isIntersecting ? seen.add(entry.target.id) : seen.delete(entry.target.id);
    if (entries.some((entry) => entry.isIntersecting)) refresh();
  }, { rootMargin: "200px" });

  function say(text, trouble) {
    const line = $("status");
    if (line.textContent !== text) line.textContent = text;
    line.toggleAttribute("data-trouble", Boolean(trouble));
  }

  function options(select, values, labels = {}) {
    const same = select.options.length === values.length && values.every((value, place) => select.options[place].value === value);
    const chosen = select.value;
    if (!same) select.replaceChildren(...values.map((value) => new Option(labels[value] || value, value)));
    select.value = values.includes(chosen) ? chosen : values[0];
  }

  function offer(view) {
    if (view.run !== state.run) { // another run has variants of its own
      state.run = view.run;
      choice.variants.clear();
      choice.off.clear();
      $("variants").querySelectorAll("label").forEach((one) => one.remove());
    }
    const runs = Object.fromEntries(view.runs.map((one) => [one.id, one.label]));
    if (state.source.isLive) {
      options($("run"), ["", ...Object.keys(runs)], { "": "the one under way", ...runs });
      options($("baseline"), ["", ...view.baselines], { "": "the run before" });
    } else {
      options($("run"), Object.keys(runs), runs);
      if (!choice.run) $("run").value = view.run;
    }
    options($("scenario"), ["", ...view.scenarios], { "": "all" });
    choice.scenario = $("scenario").value;
    for (const name of view.variants) choice.variants.add(name);
    chips();
    facts(view.facts);
  }

  function chips() {
    const box = $("variants");
    for (const name of [...choice.variants].sort()) { // colours by the alphabet, not by who answered first
      if (box.querySelector(`[data-variant="${CSS.escape(name)}"]`)) continue;
      const { color, dash } = Look.style(name), label = document.createElement("label");
      label.dataset.variant = name;
      label.innerHTML = `<input type="checkbox" checked>${Look.stroke(color, dash)}`;
      label.append(name);
      label.firstChild.addEventListener("change", (event) => {
        event.target.checked ? choice.off.delete(name) : choice.off.add(name);
        changed();
      });
      box.append(label);
    }
  }

  /* Do those who are asked answer, and what looks into the kernel? A word beside each mark: colour alone says nothing. */
  function facts(found) {
    const parts = (found.targets || []).map(({ labels, value }) => {
      const item = document.createElement("span");
      item.className = value > 0 ? "good" : "bad";
      item.textContent = `${value > 0 ? "\u2713" : "\u2717"} ${labels.job} ${value > 0 ? "up" : "down"}`;
      return item;
    });
    const rungs = (found.rung || []).filter((one) => one.value > 0).map((one) => one.labels.rung);
    if (parts.length > 0) {
      const told = rungs.join(", ") || "/proc and taskstats, no probes";
      parts.push(Object.assign(document.createElement("span"), { textContent: `kernel side: ${told}` }));
    }
    $("facts").replaceChildren(...parts);
  }

  async function draw(panel, view) {
    const card = $(panel.name), { run, baseline, scenario, quantile, lined, off } = choice;
    const version = JSON.stringify([view.version, run, baseline, scenario, quantile, lined, ...off,
      document.documentElement.dataset.theme, card.querySelector("details").open]);
    if (!seen.has(panel.name) || card.dataset.version === version) return;
    const series = await state.source.series(panel, choice, view);
    if (!card.isConnected) return; // another page was turned to meanwhile
    Charts.draw(card, panel, series, view);
    card.dataset.version = version;
  }

  const complain = (error) => say(`${state.source ? state.source.silent : "The page could not be set up"}: ${error.message}. `
    + "It is tried again every second.", true);

  function build(page) {
    choice.page = page;
    sight.disconnect();
    seen.clear();
    panels.clear();
    const parts = [];
    for (const row of page.rows) {
      const heading = document.createElement("h2"), grid = document.createElement("div");
      heading.textContent = row.heading;
      grid.className = "row";
      for (const panel of row.panels) {
        panels.set(panel.name, panel);
        grid.append(Charts.card(panel));
      }
      parts.push(heading, grid);
    }
    $("panels").replaceChildren(...parts);
    for (const one of $("panels").querySelectorAll(".panel")) {
      one.querySelector("details").addEventListener("toggle", () => refresh());
      sight.observe(one);
    }
    for (const button of $("pages").children) {
      button.dataset.uid === page.uid ? button.setAttribute("aria-current", "page") : button.removeAttribute("aria-current");
    }
  }

  function changed() {
    choice.run = $("run").value;
    choice.baseline = $("baseline").value;
    choice.scenario = $("scenario").value;
    choice.quantile = $("quantile").value;
    choice.span = Number($("span").value);
    choice.lined = $("lined").value === "yes";
    refresh();
  }

  /* Look and draw what is in sight, one time after another: what is wanted meanwhile is done afterwards, once. */
  async function refresh() {
    state.again = state.isBusy;
    if (state.isBusy || !state.source) return;
    state.isBusy = true;
    try {
      do {
        state.again = false;
        const view = await state.source.look(choice, state.pausedAt || Date.now() / 1000);
        view.lined = choice.lined;
        offer(view);
        say(view.says + (state.pausedAt ? ", paused" : ""));
        await Promise.all([...panels.values()].map((panel) => draw(panel, view)));
      } while (state.again);
    } catch (error) {
      complain(error);
    } finally {
      state.isBusy = false;
    }
  }

  async function tick() {
    const began = performance.now();
    if (!state.pausedAt && !state.isBusy) await refresh();
    setTimeout(tick, Math.max(100, 1000 - (performance.now() - began)));
  }

  function theme(dark) {
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    for (const label of $("variants").querySelectorAll("label")) {
      const { color, dash } = Look.style(label.dataset.variant);
      label.querySelector("svg").outerHTML = Look.stroke(color, dash);
    }
    refresh();
  }

  /* Where the page's reader may go next; what there is to go to differs. */
  function links() {
    const next = state.source.isLive
      ? [["./", "Locust: start a swarm"], [`${state.source.prometheus}/`, "Prometheus"], ...(state.told.links || [])]
      : [["lab/live/runs.json", "The list of runs as JSON"]];
    $("next").replaceChildren(...next.map(([href, text]) => Object.assign(document.createElement("a"), { href, textContent: text })));
    for (const one of document.querySelectorAll(state.source.isLive ? ".stored" : ".under-way")) one.hidden = true;
    $("kind").textContent = state.source.isLive ? "live" : "kept runs";
  }

  async function begin() {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    document.documentElement.dataset.theme = dark.matches ? "dark" : "light";
    state.told = await (await fetch("lab/live/panels.json")).json();
    state.source = Sources.of(state.told);
    links();
    for (const q of state.told.quantiles) $("quantile").append(new Option(`p${Number((q * 100).toFixed(2))}`, q));
    $("quantile").value = choice.quantile = state.told.quantile;
    for (const page of state.told.dashboards) {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: page.title, title: page.summary });
      button.dataset.uid = page.uid;
      button.addEventListener("click", () => { build(page); refresh(); });
      $("pages").append(button);
    }
    const anchor = decodeURIComponent(location.hash.slice(1));
    build(state.told.dashboards.find((page) => page.rows.some((row) => row.panels.some((panel) => panel.name === anchor)))
      || state.told.dashboards[0]);
    if (anchor && $(anchor)) $(anchor).scrollIntoView();
    for (const id of ["run", "baseline", "scenario", "quantile", "span", "lined"]) {
      $(id).addEventListener("change", changed);
    }
    $("pause").addEventListener("click", () => {
      state.pausedAt = state.pausedAt ? 0 : Date.now() / 1000;
      $("pause").setAttribute("aria-pressed", String(Boolean(state.pausedAt)));
      $("pause").textContent = state.pausedAt ? "Go on" : "Pause";
      refresh();
    });
    dark.addEventListener("change", (event) => theme(event.matches));
    $("theme").addEventListener("click", () => theme(document.documentElement.dataset.theme !== "dark"));
    tick();
  }
  begin().catch((error) => say(`The page could not be set up: ${error.message}`, true));
})();
