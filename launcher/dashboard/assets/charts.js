/* The charts of a page: asked for as often as the dashboard says, drawn where they are in view, left alone otherwise. */
const evolabCharts = (() => {
  "use strict";
  const { topic, by, text, element } = evolabPage;
  const place = by("charts"), known = new Map();
  let version = 0, timer = 0, more = () => {};

  const inView = new IntersectionObserver((entries) => entries.forEach((entry) => {
    const figure = [...known.values()].find((each) => each.node === entry.target);
    if (!figure) return;
    figure.visible = entry.isIntersecting;
    draw(figure);
  }), { rootMargin: "300px" });

  function draw(figure, always) {
    if (!(figure.visible || always) || figure.drawn === figure.wanted + figure.choice.selectedIndex) return;
    figure.drawn = figure.wanted + figure.choice.selectedIndex;
    const { chart } = figure;
    evolabDrawing.draw(figure.plot, chart.name, chart.views, figure.choice.selectedIndex, chart.height);
    document.documentElement.dataset.drawn = "yes";
  }

  function made(chart) {
    const title = element("h3"), note = element("p", { "class": "note" });
    const choice = element("select"), label = element("label", {}, element("span", { "class": "note" }, "Show "), choice);
    const plot = element("div", { "class": "plot", role: "img", "data-chart": chart.name });
    const scroll = element("div", { "class": "scroll" }, plot);
    const node = element("figure", {}, element("figcaption", {}, title, note), label, scroll);
    const figure = { node, title, note, choice, label, plot, scroll, visible: false, drawn: "", wanted: "", labels: "" };
    choice.addEventListener("change", () => draw(figure));
    known.set(chart.name, figure);
    inView.observe(node);
    return figure;
  }

  function update(figure, chart) {
    const wanted = JSON.stringify(chart);
    if (figure.wanted === wanted) return;
    figure.wanted = wanted;
    figure.chart = chart;
    text(figure.title, chart.title);
    text(figure.note, chart.note);
    choices(figure, chart);
    figure.plot.setAttribute("aria-label", chart.told);
    figure.plot.style.minHeight = chart.height + "px";
    if (chart.wide) {
      figure.plot.style.minWidth = chart.wide + "px";
      figure.scroll.tabIndex = 0;
      figure.scroll.setAttribute("role", "group");
      figure.scroll.setAttribute("aria-label", chart.title);
    }
    draw(figure);
  }

  /** What can be chosen; a choice stays as long as it is there. */
  function choices(figure, chart) {
    const labels = JSON.stringify(chart.views.map((view) => view.label));
    figure.label.hidden = chart.views.length < 2;
    figure.choice.setAttribute("aria-label", chart.title + ": what is shown");
    if (figure.labels === labels) return;
    const chosen = figure.choice.value;
    figure.labels = labels;
    figure.choice.replaceChildren(...chart.views.map((view) => element("option", { value: view.label }, view.label)));
    figure.choice.value = chart.views.some((view) => view.label === chosen) ? chosen : chart.views[0].label;
  }

  function show(charts) {
    const names = new Set(charts.map((chart) => chart.name));
    known.forEach((figure, name) => {
      if (names.has(name)) return;
      Plotly.purge(figure.plot);
      figure.node.remove();
      known.delete(name);
    });
    let before = by("no-charts");
    charts.forEach((chart) => {
      const figure = known.get(chart.name) || made(chart);
      if (before.nextElementSibling !== figure.node) before.after(figure.node);
      before = figure.node;
      update(figure, chart);
    });
    by("no-charts").hidden = charts.length > 0;
  }

  async function ask() {
    clearTimeout(timer);
    let wait = 3;
    if (document.hidden) return;
    try {
      const answer = await fetch(topic + "/charts?have=" + version);
      if (answer.ok) {
        const got = await answer.json();
        wait = got.again_in;
        if (got.version !== version && got.charts) {
          show(got.charts);
          more(got);
          document.documentElement.dataset.charts = got.version;
        }
        version = got.version;
      }
    } catch (error) {
      version = 0; // nobody answers; whoever answers next begins anew
    }
    clearTimeout(timer);
    timer = setTimeout(ask, wait * 1000);
  }

  evolabDrawing.whenLooksChange((change) => known.forEach((figure) => {
    figure.drawn = "";
    draw(figure, change.type === "beforeprint");
  }));
  document.addEventListener("visibilitychange", ask);

  return { ask, whenMore: (each) => { more = each; } };
})();
