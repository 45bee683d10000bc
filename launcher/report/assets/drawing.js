/* Draws one view of a chart with Plotly, in the colours of the scheme. Whoever draws it again keeps the reader's zoom. */
const evolabDrawing = (() => {
  "use strict";
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 600px)");

  function variable(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  /** "@3" or "@ink/0.2" as a colour of the current scheme. */
  function colour(token) {
    const [name, opacity] = token.slice(1).split("/");
    const hex = variable(/^\d$/.test(name) ? "--c" + name : "--" + name);
    if (!opacity) return hex;
    const parts = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    return "rgba(" + parts.join(",") + "," + opacity + ")";
  }

  const COLOURS = new Set(["color", "fillcolor"]);
  function coloured(value, key) {
    if (typeof value === "string") return COLOURS.has(key) && value[0] === "@" ? colour(value) : value;
    if (Array.isArray(value)) return COLOURS.has(key) ? value.map((each) => coloured(each, key)) : value;
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, coloured(inner, name)]));
  }

  function axis(title, given) {
    const look = { gridcolor: variable("--grid"), zerolinecolor: variable("--grid"), linecolor: variable("--muted"),
                   automargin: true, title: { text: title, standoff: 8 } };
    return Object.assign(look, given || {});
  }

  function layout(view, height, revision) {
    const given = coloured(view.layout, "");
    const traces = view.traces.filter((trace) => trace.showlegend !== false).length;
    return Object.assign({}, given, {
      uirevision: revision,
      height: height + (narrow.matches ? Math.min(traces, 12) * 12 : 0),
      font: { family: "system-ui, sans-serif", size: narrow.matches ? 11 : 13, color: variable("--ink") },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 56, r: 12, t: 12, b: 48 },
      hovermode: "closest",
      hoverlabel: { bgcolor: variable("--paper"), bordercolor: variable("--muted"), font: { color: variable("--ink") } },
      showlegend: traces > 1,
      legend: narrow.matches || traces > 14 ? { orientation: "h", y: -0.2, yanchor: "top", x: 0 } : { orientation: "v" },
      xaxis: axis(view.x, given.xaxis), yaxis: axis(view.y, given.yaxis),
    });
  }

  /** Draws a view of `views` into an element; `name`: which chart it is. */
  function draw(place, name, views, index, height) {
    const view = views[Math.max(0, Math.min(index, views.length - 1))];
    const traces = view.traces.map((trace) => coloured(trace, ""));
    const config = { responsive: true, displaylogo: false, displayModeBar: narrow.matches ? false : "hover",
                     modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
    return Plotly.react(place, traces, layout(view, height, name + "/" + view.label), config);
  }

  /** Calls `redraw` whenever the look of everything has changed: the scheme, the width, for print. */
  function whenLooksChange(redraw) {
    dark.addEventListener("change", redraw);
    narrow.addEventListener("change", redraw);
    addEventListener("beforeprint", redraw);
    addEventListener("afterprint", redraw);
  }

  return { draw, whenLooksChange };
})();
