"use strict";
const ink = () => getComputedStyle(document.documentElement).getPropertyValue("--ink").trim();
const drawn = [];
for (const place of document.querySelectorAll("[data-chart]")) {
  const told = JSON.parse(place.querySelector("script").textContent);
  const chart = place.querySelector(".chart");
  told.layout.font = { ...told.layout.font, color: ink() };
  Plotly.newPlot(chart, told.data, told.layout, { displayModeBar: false, responsive: true });
  // A figure leads to the trials it comes from: a bar by its label, a line by its name.
  chart.on("plotly_click", ({ points: [point] }) => {
    const label = typeof point.y === "string" ? point.y : point.data.name;
    const row = [...(place.closest("[data-section]")?.querySelectorAll("tr[data-variant]") ?? [])]
      .find((one) => one.dataset.variant === label);
    if (row !== undefined) location.hash = `#${row.id}`;
  });
  drawn.push(chart);
}
// Whoever follows a link into a folded table sees it unfolded.
const unfold = () => {
  const aim = location.hash.length > 1 ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
  const folded = aim?.closest("details");
  if (folded) { folded.open = true; aim.scrollIntoView({ block: "center" }); }
};
addEventListener("hashchange", unfold);
unfold();
// Paper has no clicks: everything is unfolded, in the colours of paper, and charts scale with whatever width it has.
const folded = [], DRAWN_PX = { wide: 900, narrow: 440 };
const fit = (chart, width) => {
  const box = chart.querySelector(".svg-container"), height = chart.layout.height;
  Object.assign(box.style, { width: "100%", height: "auto", aspectRatio: `${width} / ${height}` });
  for (const svg of chart.querySelectorAll("svg.main-svg")) {
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    Object.assign(svg.style, { width: "100%", height: "100%" });
  }
};
const unfit = (chart) => {
  for (const svg of chart.querySelectorAll("svg.main-svg")) {
    svg.removeAttribute("viewBox");
    Object.assign(svg.style, { width: "", height: "" });
  }
  chart.querySelector(".svg-container").style.aspectRatio = "";
};
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details:not([open])")) { one.open = true; folded.push(one); }
  for (const chart of drawn) {
    const width = DRAWN_PX[chart.closest("figure").classList.contains("wide") ? "wide" : "narrow"];
    Plotly.relayout(chart, { "font.color": "#000", width, autosize: false });
    fit(chart, width);
  }
});
addEventListener("afterprint", () => {
  for (const one of folded.splice(0)) one.open = false;
  for (const chart of drawn) {
    unfit(chart);
    Plotly.relayout(chart, { "font.color": ink(), width: null, autosize: true });
  }
});
for (const table of document.querySelectorAll("table.sorts")) {
  table.querySelectorAll("th").forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") !== "descending";
    table.querySelectorAll("th").forEach((one) => one.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => row.cells[column].dataset.key === undefined ? null : Number(row.cells[column].dataset.key);
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === null && y === null) return a.cells[column].textContent.localeCompare(b.cells[column].textContent) * (down ? -1 : 1);
      if (x === null || y === null) return x === null ? 1 : -1;
      return down ? y - x : x - y;
    });
    table.tBodies[0].append(...rows);
  }));
}
