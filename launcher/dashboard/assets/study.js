/* The page of a study. */
(() => {
  "use strict";
  const { by, element, figure, clock, percent, rows, facts, start } = evolabPage;
  let before = "";

  function now(told) {
    const some = (value) => value !== null && value !== undefined;
    return [
      ["state", told.state, ""],
      ["best (held out)", told.best || "–", told.best_trial ? "trial " + told.best_trial : ""],
      ["trials", figure(told.trials), told.wanted ? "of " + figure(told.wanted) : ""],
      ...(some(told.cores_busy) ? [["cores busy", figure(told.cores_busy), "of " + figure(told.cores_granted)]] : []),
      ...(some(told.utilisation) ? [["core use", percent(told.utilisation), ""]] : []),
      ...(some(told.cost) ? [["cost", figure(Number(told.cost.toFixed(2))), "of this sitting"]] : []),
      ...(some(told.seconds_left) && told.working ? [["time left", clock(told.seconds_left), "about"]] : []),
    ];
  }

  function flight(told) {
    return [
      figure(told.trial),
      { text: figure(told.done) + " of " + figure(told.wanted), part: told.wanted ? told.done / told.wanted : 0 },
      clock(told.seconds),
      told.cpus,
      told.runs.length ? { links: told.runs } : "–",
    ];
  }

  function trial(told) {
    const value = [told.value, ...told.others].join(", ");
    return [
      figure(told.number),
      { text: told.state, look: told.bad ? "warn" : "" },
      value, clock(told.seconds), figure(told.cost),
      told.runs.length ? { links: told.runs } : "–",
      { text: told.reason, look: "text" },
      told.params,
    ];
  }

  evolabCharts.whenMore((got) => rows(by("trial-table"), got.trials, (each) => each.number, trial));
  evolabCharts.ask();
  start((seen) => {
    facts(by("facts"), now(seen));
    rows(by("flights"), seen.running, (each) => each.trial, flight);
    by("no-flights").hidden = seen.running.length > 0;
    by("warnings").replaceChildren(...(seen.working && seen.warnings || []).map((each) => element("li", {}, each)));
    if (before && before !== seen.state) evolabCharts.ask();
    before = seen.state;
  });
})();
