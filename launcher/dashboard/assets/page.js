/* What every page of the dashboard does: it listens, says when nobody answers, and sets what it hears as text. */
const evolabPage = (() => {
  "use strict";
  const topic = document.body.dataset.topic;
  const by = (id) => document.getElementById(id);
  const SILENT = 20000;
  let source = null, again = 0, watch = 0, seen = null, show = () => {};

  function text(node, value) {
    if (node.textContent !== value) node.textContent = value;
  }

  function element(tag, attributes, ...children) {
    const node = document.createElement(tag);
    Object.entries(attributes || {}).forEach(([name, value]) => node.setAttribute(name, value));
    node.append(...children);
    return node;
  }

  const time = (date) => date.toTimeString().slice(0, 8);

  function figure(value) {
    if (value === null || value === undefined) return "–";
    if (typeof value !== "number") return String(value);
    if (Number.isInteger(value)) return value.toLocaleString("en-GB");
    return Math.abs(value) >= 1e5 || Math.abs(value) < 1e-4 ? value.toPrecision(4) : String(Number(value.toPrecision(4)));
  }

  function clock(seconds) {
    if (seconds === null || seconds === undefined) return "–";
    const whole = Math.round(seconds), two = (value) => String(value).padStart(2, "0");
    const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
    return hours ? hours + ":" + two(minutes) + ":" + two(whole % 60) : minutes + ":" + two(whole % 60);
  }

  const percent = (share) => (share === null || share === undefined ? "–" : Math.round(share * 100) + " %");

  /** Fills a table's cell; what is in it already is left alone. A cell: a text, or an object with `text` and more. */
  function fill(cell, told) {
    const key = JSON.stringify(told);
    if (cell.evolabKey === key) return;
    cell.evolabKey = key;
    const what = typeof told === "object" && told !== null ? told : { text: told };
    cell.className = what.look || "";
    if (what.title) cell.title = what.title; else cell.removeAttribute("title");
    cell.replaceChildren();
    if (what.links) what.links.forEach((link) => cell.append(element("a", { href: link.href }, link.name), " "));
    else if (what.href) cell.append(element("a", { href: what.href }, what.text));
    else if (what.spark) cell.append(spark(what.spark));
    else cell.append(what.text);
    if (what.part !== undefined) cell.append(bar(what.part));
  }

  function bar(part) {
    const inner = element("span", {});
    inner.style.width = 100 * Math.max(0, Math.min(1, part)) + "%";
    return element("span", { "class": "part", "aria-hidden": "true" }, inner);
  }

  function spark(values) {
    const space = "http://www.w3.org/2000/svg", svg = document.createElementNS(space, "svg");
    const low = Math.min(...values), high = Math.max(...values), wide = Math.max(1, values.length - 1);
    const line = document.createElementNS(space, "polyline");
    const at = (value) => (high > low ? 21 - 20 * (value - low) / (high - low) : 11);
    line.setAttribute("points", values.map((value, i) => 90 * i / wide + "," + at(value).toFixed(1)).join(" "));
    svg.setAttribute("class", "spark");
    svg.setAttribute("viewBox", "0 0 90 22");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", "best fitness from " + figure(low) + " to " + figure(high));
    svg.append(line);
    return svg;
  }

  /** Makes a table's rows those of `list`: `key` tells them apart, `cells` says what is in them. */
  function rows(table, list, key, cells) {
    const body = table.tBodies[0], known = new Map([...body.rows].map((row) => [row.dataset.key, row]));
    list.forEach((entry, place) => {
      const name = String(key(entry));
      let row = known.get(name);
      known.delete(name);
      if (!row) {
        row = element("tr", {});
        row.dataset.key = name;
      }
      const told = cells(entry);
      while (row.cells.length < told.length) row.insertCell();
      told.forEach((each, column) => fill(row.cells[column], each));
      if (body.rows[place] !== row) body.insertBefore(row, body.rows[place] || null);
    });
    known.forEach((row) => row.remove());
    table.hidden = !list.length;
  }

  /** The large figures: label, value, what it means. */
  function facts(place, list) {
    list.forEach(([label, value, more], at) => {
      const box = place.children[at] || place.appendChild(
        element("div", {}, element("dt"), element("dd", {}, element("span"), element("small"))));
      text(box.children[0], label);
      text(box.children[1].children[0], value);
      text(box.children[1].children[1], more || "");
    });
    while (place.children.length > list.length) place.lastChild.remove();
  }

  function stale(words) {
    by("stale").hidden = !words;
    text(by("stale"), words);
  }

  function asOf() {
    return seen ? " What you see is as of " + time(seen) + "." : "";
  }

  function hear(message) {
    const value = JSON.parse(message.data);
    alive();
    if (value.gone) {
      stale("This is gone: " + value.gone + "." + asOf());
      document.documentElement.dataset.state = "gone";
      return;
    }
    seen = new Date();
    stale("");
    text(by("seen"), "As of " + time(seen) + ".");
    text(by("told"), value.told);
    show(value);
    document.documentElement.dataset.state = "live";
  }

  function alive() {
    clearTimeout(watch);
    watch = setTimeout(lost, SILENT);
  }

  function lost() {
    hush();
    stale("The dashboard does not answer, perhaps because it has ended: evolab dashboard starts it." + asOf() +
          " Trying again …");
    document.documentElement.dataset.state = "lost";
    again = setTimeout(listen, 2000);
  }

  function hush() {
    clearTimeout(watch);
    clearTimeout(again);
    if (source) source.close();
    source = null;
  }

  function listen() {
    hush();
    if (document.hidden) return;
    source = new EventSource(topic + "/looks");
    source.onmessage = hear;
    source.addEventListener("still", alive);
    source.onerror = lost;
    alive();
  }

  /** Begin: `each` gets everything that is seen. A page that nobody sees asks for nothing. */
  function start(each) {
    show = each;
    document.addEventListener("visibilitychange", () => (document.hidden ? hush() : listen()));
    addEventListener("pagehide", hush);
    listen();
  }

  return { topic, by, text, element, figure, clock, percent, time, rows, facts, start };
})();
