/* The first page: all runs and studies. */
(() => {
  "use strict";
  const { by, text, figure, clock, rows, start } = evolabPage;
  const LOOKS = { RUNNING: "state works", DONE: "state done", PENDING: "state", STOPPED: "state" };

  const spread = (told) => figure(told.done) + (told.farthest > told.done ? " to " + figure(told.farthest) : "");

  function run(told) {
    const several = Object.keys(told.states).length > 1;
    const states = Object.entries(told.states).map(([state, count]) => count + " " + state).join(", ");
    return [
      { text: told.name, href: told.href },
      { text: told.state, look: LOOKS[told.state] || "state bad", title: told.told },
      told.generations ? { text: spread(told) + " of " + figure(told.generations), part: told.share || 0 } : "–",
      { text: figure(told.best), look: "number" },
      told.trend.length > 1 ? { spark: told.trend } : "",
      { text: figure(told.cores), look: "number" },
      { text: figure(told.cost), look: "number" },
      several ? { text: states, look: "wraps" } : figure(told.islands),
      (told.created || "–").slice(0, 16).replace("T", " "),
    ];
  }

  const STUDIES = { running: "state works", stopping: "state works", done: "state done", lost: "state bad" };

  function study(told) {
    const states = Object.entries(told.states).map(([state, count]) => count + " " + state.toLowerCase()).join(", ");
    return [
      { text: told.name, href: told.href },
      { text: told.state, look: STUDIES[told.state] || "state", title: told.told },
      (states || "none yet") + (told.wanted ? " of " + told.wanted : ""),
      told.best ? told.best + " (trial " + told.best_trial + ")" : "–",
      { text: told.cores_busy === null || told.cores_busy === undefined ? "–" :
              figure(told.cores_busy) + " of " + figure(told.cores_granted), look: "number" },
      { text: figure(told.cost), look: "number" },
      told.working && told.seconds_left ? clock(told.seconds_left) : "–",
    ];
  }

  start((seen) => {
    by("nothing").hidden = seen.runs.length + seen.studies.length > 0;
    by("runs").hidden = !seen.runs.length;
    by("studies").hidden = !seen.studies.length;
    rows(by("runs").querySelector("table"), seen.runs, (each) => each.href, run);
    rows(by("studies").querySelector("table"), seen.studies, (each) => each.href, study);
    by("left-out").hidden = !seen.left_out;
    text(by("left-out"), seen.left_out + " older runs are not shown.");
  });
})();
