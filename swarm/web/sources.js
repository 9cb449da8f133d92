"use strict";
/* Where the page's numbers come from: a Prometheus that is asked, or the files of runs that are kept. Both answer
 *   look(choice, now)  -> { runs: [{ id, label }], run, scenarios, variants, from, to, step, facts, says, version }
 *   series(panel, choice, view) -> [{ name, labels, points: [[seconds, value]] }], those of a panel's queries
 * choice: run, baseline, scenario, quantile (text, "" for all or the newest), span (seconds, 0: the whole run), lined (each
 * trial from its start), off (variants left out), variants (those seen), page (the one shown). view: what look said. */
const Sources = (() => {
  const named = (legend, labels) => legend.replace(/\{\{(\w+)\}\}/g, (_, key) => labels[key] || "").trim() || "all";
  const isShown = (name) => name && name !== "all" && !name.startsWith("arena");
  const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

  async function read(url) {
    const answer = await fetch(url, { signal: AbortSignal.timeout(5000) });
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.error || answer.statusText);
    return told;
  }

  function prometheus(told) {
    const base = `http://${location.hostname}:${told.prometheus_port}`;
    const ask = async (path, parameters) => (await read(`${base}/api/v1/${path}?` + new URLSearchParams(parameters))).data;

    /* What there is to look at: runs of the span, newest first; of the chosen run its scenarios and variants. */
    async function look(choice, now) {
      const span = choice.span || 3600, at = { start: now - span, end: now };
      const runs = await ask("label/run_id/values", { ...at, "match[]": "lab_client_users" });
      const moved = await ask("query", { query: "max by (run_id) (timestamp(lab_client_users))", time: now });
      const latest = new Map(moved.result.map((one) => [one.metric.run_id, Number(one.value[1])]));
      // What is under way first; then scripted runs by the time in their names; what was loaded by hand last.
      runs.sort((a, b) => (latest.get(b) || 0) - (latest.get(a) || 0) || (a === "arena") - (b === "arena") || b.localeCompare(a));
      const run = choice.run || runs[0] || "";
      const match = { ...at, "match[]": `{__name__=~"lab_client_users|lab_server_up",run_id="${run}"}` };
      const view = { runs: runs.map((id) => ({ id, label: id })), run, scenarios: [], variants: [],
        from: now - span, to: now, version: now };
      if (run) {
        view.scenarios = (await ask("label/scenario/values", match)).filter((name) => name && name !== "arena");
        view.variants = (await ask("label/variant/values", match)).filter(isShown);
        if (!choice.span) {
          const first = await ask("query_range", { query: `count(lab_client_users{run_id="${run}"})`, ...at, step: 5 });
          if (first.result.length > 0) view.from = Math.min(first.result[0].values[0][0] - 5, now - 30);
        }
      }
      view.facts = {};
      for (const [name, query] of Object.entries(told.facts)) {
        view.facts[name] = (await ask("query", { query, time: now })).result.map((one) => ({ labels: one.metric, value: Number(one.value[1]) }));
      }
      const kept = (await ask("query", { query: "lab_run_info", time: now })).result.map((one) => one.metric.run_id).sort().reverse();
      view.baselines = kept;
      view.baseline = choice.baseline || kept.find((id) => id < run) || run;
      if (choice.page.of_past) view.from = now - choice.page.since_s;
      view.step = Math.max(1, Math.ceil((view.to - view.from) / 300));
      const age = run ? Math.round(now - (latest.get(run) || 0)) : 0;
      view.says = !run ? "No load yet. Start a swarm on Locust's page, or: lab run quick"
        : `Run ${run}: ${count(view.variants.length, "variant")}` + (latest.has(run) && age < 15 ? ""
          : ", ended. Its figures: lab show, lab report; its charts later: lab report --serve");
      return view;
    }

    function filled(expression, choice, view) {
      // What is loaded by hand is labelled with its scenario on the client's side and "arena" on the servers'.
      const scenario = choice.scenario ? choice.scenario + (view.run === "arena" ? "|arena" : "") : ".*";
      const on = [...choice.variants].filter((name) => !choice.off.has(name));
      const variants = choice.off.size === 0 ? ".*" : on.join("|") || "nobody";
      const any = `scenario=~"${scenario}",variant=~"${variants}"`;
      const letters = { S: `run_id="${view.run}",${any}`, B: `run_id="${view.baseline}",${any}`, H: any, K: 'suite=~".*"',
        I: "5s", Q: choice.quantile, E: "end()" };
      return expression.replace(/\$([SBHKIQE])(?![a-z_])/g, (_, letter) => letters[letter]);
    }

    async function series(panel, choice, view) {
      const asked = await Promise.all(panel.queries.map((query) => ask("query_range",
        { query: filled(query.expression, choice, view), start: view.from, end: view.to, step: view.step })));
      return asked.flatMap((data, place) => data.result.map((one) => ({
        name: named(panel.queries[place].legend, one.metric), labels: one.metric,
        points: one.values.map(([at, text]) => [at, Number(text)]).filter(([, value]) => Number.isFinite(value)),
      }))).filter((one) => one.points.length > 0);
    }
    return { look, series, isLive: true, silent: "Prometheus does not answer", prometheus: base };
  }

  /* Files of `lab report --serve`: one for each trial, with what every panel showed then (orchestrator/results/series.py). */
  function stored(told) {
    let runs = null, chosen = "", loaded = "", trials = [], version = 0;

    async function load(run) {
      const about = await read(`lab/live/runs/${encodeURIComponent(run)}.json`);
      trials = await Promise.all(about.files.map((name) => read(`lab/live/runs/${encodeURIComponent(run)}/${name}`)));
      loaded = run;
      version += 1;
    }

    const isChosen = (trial, choice) => (!choice.scenario || trial.scenario === choice.scenario) && !choice.off.has(trial.variant);
    const lasts = (trial) => (trial.steps - 1) * trial.step_s;

    function words(run, about) {
      if (!run) return "No run is kept yet. Next: lab run quick";
      if (trials.length === 0) return `Run ${run} was kept without time series. Its figures: lab report ${run}`;
      const variants = new Set(trials.map((trial) => trial.variant)).size;
      return `Run ${run}: ${count(variants, "variant")}, ${count(trials.length, "trial")}, as recorded`
        + (about ? ` ${new Date(about.started_at).toLocaleString()}` : "");
    }

    async function look(choice) {
      if (runs === null) ({ runs, chosen } = await read("lab/live/runs.json"));
      const run = choice.run || chosen;
      if (run && run !== loaded) await load(run);
      const has = trials.some((trial) => trial.scenario === choice.scenario); // the run chosen before may have had others
      const inScenario = trials.filter((trial) => !has || trial.scenario === choice.scenario);
      const ends = inScenario.map((trial) => trial.start_s + lasts(trial));
      const about = runs.find((one) => one.run_id === run), last = trials.at(-1);
      const facts = {};
      for (const track of last ? last.tracks.filter((one) => one.panel in told.facts) : []) {
        const value = Math.min(...track.values.filter((one) => one !== null)); // down once is down
        (facts[track.panel] = facts[track.panel] || []).push({ labels: track.labels, value });
      }
      return {
        runs: runs.map((one) => ({ id: one.run_id, label: `${one.run_id} (${one.finished} of ${one.planned} trials)` })),
        run, facts, version: `${version}`, step: Math.max(...trials.map((trial) => trial.step_s)),
        scenarios: [...new Set(trials.map((trial) => trial.scenario))].sort(),
        variants: [...new Set(trials.map((trial) => trial.variant))],
        from: choice.lined ? 0 : Math.min(...inScenario.map((trial) => trial.start_s)),
        to: choice.lined ? Math.max(...inScenario.map(lasts)) : Math.max(...ends),
        says: words(run, about),
      };
    }

    async function series(panel, choice) {
      const found = new Map(), shown = trials.filter((trial) => isChosen(trial, choice));
      for (const trial of shown) {
        // Lined up, two trials of one variant are two lines; as it happened, one line with a hole in it.
        const others = shown.filter((one) => one.variant === trial.variant);
        const suffix = choice.lined && others.length > 1 ? ` ${trial.scenario} ${trial.block + 1}` : "";
        const shift = choice.lined ? trial.start_s : 0;
        for (const track of trial.tracks) {
          if (track.panel !== panel.name || (track.quantile && track.quantile !== choice.quantile)) continue;
          const name = named(panel.queries[track.query].legend, track.labels), key = `${track.query} ${name}${suffix}`;
          const points = track.values.map((value, n) => [trial.start_s + (track.first + n) * trial.step_s - shift, value])
            .filter(([, value]) => value !== null);
          if (!found.has(key)) found.set(key, { name: name + suffix, labels: track.labels, points: [] });
          const drawn = found.get(key).points, last = drawn.length > 0 ? drawn.at(-1)[0] : -Infinity;
          drawn.push(...points.filter(([at]) => at > last)); // a trial's last seconds are the next one's first
        }
      }
      return [...found.values()].filter((one) => one.points.length > 0);
    }
    return { look, series, isLive: false, silent: "The stored runs cannot be read" };
  }

  return { of: (told) => told.stored ? stored(told) : prometheus(told) };
})();
