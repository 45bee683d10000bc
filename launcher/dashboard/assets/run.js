/* The page of a run. */
(() => {
  "use strict";
  const { topic, by, text, element, figure, clock, percent, time, rows, facts, start } = evolabPage;
  const LOOKS = { RUNNING: "state works", DONE: "state done", PENDING: "state", STOPPED: "state" };
  const LOG_EVERY = 2000;
  let before = "";

  function island(told) {
    const slow = told.pace === null || told.pace < 0.5;
    const step = told.step && slow ? ", episode " + told.step[0] + " of " + told.step[1] : "";
    const phase = told.phase && told.phase !== "running" ? ", " + told.phase : "";
    const why = told.message ? ": " + told.message : "";
    return [
      told.island,
      { text: told.state + phase + why, look: LOOKS[told.state] || "state bad" },
      told.generations ? { text: figure(told.done) + " of " + figure(told.generations) + step,
                           part: told.done / told.generations } : "–",
      { text: figure(told.best), look: "number" },
      { text: figure(told.use), look: "number" },
      { text: figure(told.pace), look: "number" },
      { text: told.rss_mb === null ? "–" : figure(Math.round(told.rss_mb)), look: "number" },
      { text: figure(told.restarts), look: "number" },
      { text: told.age === null ? "–" : clock(Math.max(0, told.age)) + " ago", look: "number" },
    ];
  }

  function now(told) {
    const use = told.utilisation === null || told.utilisation === undefined ? [] :
      [["core use", percent(told.utilisation), told.launcher ? "of the usable cores, now" : "of the usable cores, over all"]];
    const cost = told.cost === null || told.cost === undefined ? [] :
      [["cost so far", figure(Number(told.cost.toFixed(2))), told.cost_per_hour ? "at " + figure(told.cost_per_hour) + " an hour" : ""]];
    const spread = told.farthest > told.done ? figure(told.done) + " to " + figure(told.farthest) : figure(told.done);
    return [
      ["state", told.state.toLowerCase(), told.launcher ? "under a launcher" : ""],
      ["generations done", spread, told.generations ? "of " + figure(told.generations) : ""],
      ["best score", figure(told.best), "of one evaluation"],
      ["cores busy", figure(told.cores), "by " + (told.states.RUNNING || 0) + " of " + told.islands + " islands"],
      ...use, ...cost,
      ...(told.seconds ? [["wall time", clock(told.seconds), ""]] : []),
    ];
  }

  function event(told) {
    return [
      told.at === null ? "–" : time(new Date(told.at * 1000)),
      told.island,
      { text: told.event, look: told.bad ? "warn" : "" },
      { text: told.text, look: "text" },
    ];
  }

  async function log() {
    if (!document.hidden && by("log-of").value) {
      try {
        const answer = await fetch(topic + "/log?of=" + encodeURIComponent(by("log-of").value));
        const got = await answer.json();
        const lines = by("lines"), end = lines.scrollTop + lines.clientHeight >= lines.scrollHeight - 8;
        text(lines, got.trouble || got.lines.join("\n") || "It has said nothing yet.");
        if (end) lines.scrollTop = lines.scrollHeight;
      } catch (error) { /* the page says already that nobody answers */ }
    }
  }

  async function record() {
    const button = by("record"), said = by("recorded");
    button.disabled = true;
    text(said, "Recording …");
    try {
      const got = await (await fetch(topic + "/record")).json();
      text(said, got.trouble ? "Not recorded: " + got.trouble : "Recorded at " + time(new Date()) + ".");
      if (got.page) {
        const frame = element("iframe", { src: got.page, sandbox: "allow-scripts", title: "Replay of the champion" });
        by("replay").replaceChildren(frame);
      }
    } catch (error) {
      text(said, "Not recorded: the dashboard does not answer.");
    }
    button.disabled = false;
  }

  by("record").addEventListener("click", record);
  by("log-of").addEventListener("change", log);
  setInterval(log, LOG_EVERY);
  log();
  evolabCharts.ask();
  start((seen) => {
    facts(by("facts"), now(seen));
    rows(document.querySelector("#islands + .scroll table"), seen.rows, (each) => each.island, island);
    rows(by("event-table"), seen.events, (each) => JSON.stringify(each), event);
    by("no-events").hidden = seen.events.length > 0;
    if (before && before !== seen.state) evolabCharts.ask();
    before = seen.state;
  });
})();
