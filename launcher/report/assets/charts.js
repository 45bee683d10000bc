/* Draws a report's charts, and again when the scheme or the view changes. */
(() => {
  "use strict";
  const charts = JSON.parse(document.getElementById("charts").textContent);

  function draw(chart) {
    const place = document.querySelector('[data-chart="' + chart.name + '"]');
    if (!place) return;
    const chooser = document.querySelector('[data-chooses="' + chart.name + '"]');
    return evolabDrawing.draw(place, chart.name, chart.views, chooser ? chooser.selectedIndex : 0,
                              Number(place.dataset.height));
  }

  const all = () => Promise.all(charts.map(draw));
  charts.forEach((chart) => {
    const chooser = document.querySelector('[data-chooses="' + chart.name + '"]');
    if (chooser) chooser.addEventListener("change", () => draw(chart));
  });
  evolabDrawing.whenLooksChange(all);
  all().then(() => { document.documentElement.dataset.drawn = "yes"; });
})();
