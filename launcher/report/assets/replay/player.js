"use strict";
// The replay: two pictures side by side, one clock, its buttons and keys.
(function (lab) {
  const SPEEDS = [0.25, 0.5, 1, 2, 4];
  const CAMERAS = { follow: "follows", stay: "stays", above: "from above" };
  const { element } = lab;

  class Player {
    constructor(root) {
      this.root = root;
      this.recordings = JSON.parse(root.querySelector("script[type='application/json']").textContent);
      Object.assign(this, { time: 0, playing: false, speed: 1, visible: true, dirty: true, touched: false, last: null });
      this.calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      this.build();
      this.listen();
      this.ready = this.begin();
    }

    build() {
      const stages = element("div", { class: "rp-panels" });
      const changed = () => { this.dirty = true; this.limit(); };
      this.panels = ["on the left", "on the right"].map(
        (label, k) => new lab.Panel(stages, this.recordings, label, k === 1, changed),
      );
      this.button = element("button", { type: "button", class: "rp-play" });
      this.bar = element("input", { type: "range", min: "0", step: "any", value: "0", "aria-label": "time in the episode, s" });
      this.clock = element("output", { class: "rp-clock" });
      this.pace = this.select("speed", SPEEDS.map((speed) => [String(speed), `${speed}×`]), "1");
      this.camera = this.select("camera", Object.entries(CAMERAS), "follow");
      this.trail = element("input", { type: "checkbox", checked: "" });
      const controls = element("div", { class: "rp-controls" }, this.button, this.bar, this.clock, this.pace.label);
      const creatures = this.recordings.some((one) => one.kind === "creature");
      if (creatures) controls.append(this.camera.label, element("label", {}, this.trail, " path"));
      this.root.querySelector(".rp-app").replaceChildren(stages, controls, ...this.legend(creatures));
    }

    select(words, options, value) {
      const choice = element("select", { "aria-label": words });
      options.forEach(([key, text]) => choice.append(element("option", { value: key }, text)));
      choice.value = value;
      return { choice, label: element("label", {}, `${words} `, choice) };
    }

    legend(creatures) {
      const keys = "Keys, after a click here: space plays and pauses; ← and → go a second, comma and full stop a step; "
        + "plus and minus change the speed.";
      const orbit = " Drag, or shift and arrows, to orbit; wheel, or page up and down, for near and far; 0 for the first view.";
      const help = element("p", { class: "rp-help" }, `${keys}${creatures ? orbit : ""}`);
      if (!creatures) return [help];
      const scale = element("p", { class: "rp-legend" },
        "Muscles: ", element("span", { class: "rp-swatch rp-short" }), "contracted (shorter and thicker) ",
        element("span", { class: "rp-swatch rp-rest" }), "at rest ", element("span", { class: "rp-swatch rp-long" }),
        "stretched. ", element("span", { class: "rp-swatch rp-food" }), "Pellet; one that was eaten leaves its ring. ",
        "Squares of the ground: 1 m, bold lines every 5 m.");
      return [scale, help];
    }

    listen() {
      this.button.addEventListener("click", () => this.toggle());
      this.bar.addEventListener("input", () => { this.touched = true; this.seek(Number(this.bar.value)); });
      this.pace.choice.addEventListener("change", () => this.run(Number(this.pace.choice.value)));
      this.camera.choice.addEventListener("change", () => this.watch(this.camera.choice.value));
      this.trail.addEventListener("change", () => { this.dirty = true; });
      this.root.addEventListener("keydown", (event) => this.key(event));
      this.panels.forEach((panel) => panel.choice.addEventListener("change", () => {
        this.touched = true;
        panel.show(panel.choice.value === "" ? null : Number(panel.choice.value), this.settings());
      }));
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
      new ResizeObserver(() => { this.panels.forEach((panel) => panel.resize()); this.draw(); }).observe(this.root);
      addEventListener("beforeprint", () => this.draw());
      new IntersectionObserver(([seen]) => this.seen(seen.isIntersecting), { threshold: 0.25 }).observe(this.root);
    }

    /** Play by itself when it first comes into sight, unless somebody prefers less motion. */
    seen(visible) {
      this.visible = visible;
      this.dirty = true;
      if (visible && !this.touched && !this.calm) this.play();
    }

    async begin() {
      const beside = this.recordings.findIndex((one) => one.what === "first");
      await Promise.all([
        this.panels[0].show(0, this.settings()), this.panels[1].show(beside > 0 ? beside : null, this.settings()),
      ]);
      this.told();
      this.draw(); // once, in sight or not: a page that is printed has nobody who scrolls
      this.shown = true;
      requestAnimationFrame((now) => this.frame(now));
    }

    settings() { return { colours: lab.colours(this.root), mode: this.camera.choice.value }; }

    get seconds() { return Math.max(...this.panels.map((panel) => panel.seconds)); }

    limit() {
      this.bar.max = String(this.seconds);
      this.root.classList.toggle("rp-pair", Boolean(this.panels[1].film));
      this.panels.forEach((panel) => panel.resize());
    }

    frame(now) {
      requestAnimationFrame((next) => this.frame(next));
      const passed = this.last === null ? 0 : Math.min(0.1, (now - this.last) / 1000);
      this.last = now;
      if (this.playing && this.visible) {
        this.seek(this.time + passed * this.speed);
        if (this.time >= this.seconds) this.pause();
      }
      if (this.dirty && this.visible) this.draw();
    }

    draw() {
      this.dirty = false;
      this.panels.forEach((panel) => panel.draw(this.time, this.trail.checked));
      this.dirty = false; // a view that follows says that it has changed
      this.bar.value = String(this.time);
      this.clock.textContent = `${this.time.toFixed(1)} / ${this.seconds.toFixed(1)} s`;
    }

    /** Go to a time, in seconds. */
    seek(time) {
      this.time = Math.min(this.seconds, Math.max(0, time));
      this.dirty = true;
    }

    play() {
      if (this.time >= this.seconds) this.seek(0);
      this.playing = true;
      this.told();
    }

    pause() {
      this.playing = false;
      this.told();
    }

    toggle() {
      this.touched = true;
      if (this.playing) this.pause();
      else this.play();
    }

    told() { this.button.textContent = this.playing ? "❚❚ Pause" : "▶ Play"; }

    run(speed) {
      this.speed = speed;
      this.pace.choice.value = String(speed);
    }

    watch(mode) {
      this.panels.forEach((panel) => panel.view?.watch?.(mode));
      this.dirty = true;
    }

    paint() {
      this.panels.forEach((panel) => panel.view?.paint(lab.colours(this.root)));
      this.dirty = true;
    }

    key(event) {
      if (event.target.tagName === "SELECT" || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === " " && (event.target === this.button || event.target === this.trail)) return;
      const act = event.shiftKey ? this.turn(event.key) : this.keys(event.key);
      if (!act) return;
      event.preventDefault();
      this.touched = true;
      act();
    }

    keys(key) {
      const at = SPEEDS.indexOf(this.speed);
      const pace = (by) => () => this.run(SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, at + by))]);
      const step = this.recordings[0].step_seconds;
      return {
        " ": () => this.toggle(),
        ArrowLeft: () => this.seek(this.time - 1), ArrowRight: () => this.seek(this.time + 1),
        ",": () => this.nudge(-step), ".": () => this.nudge(step), "+": pace(1), "=": pace(1), "-": pace(-1),
        Home: () => this.seek(0), End: () => this.seek(this.seconds),
        PageUp: this.each("zoom", 0.85), PageDown: this.each("zoom", 1.18), 0: this.each("home"),
      }[key];
    }

    turn(key) {
      const turns = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };
      const [side, rise] = turns[key] || [];
      if (key === "+") return this.keys(key);
      return side === undefined ? undefined : this.each("orbit", side, rise);
    }

    /** Something done to every picture that can do it; undefined where none can. */
    each(what, ...values) {
      const able = this.panels.map((panel) => panel.view).filter((view) => view && view[what]);
      return able.length ? () => { able.forEach((view) => view[what](...values)); this.dirty = true; } : undefined;
    }

    nudge(by) {
      this.pause();
      this.seek(this.time + by);
    }

    /** What is shown now, as numbers. */
    state() {
      const shown = this.panels.filter((panel) => panel.view);
      const { time, seconds, playing, speed } = this;
      return { time, seconds, playing, speed, panels: shown.map((panel) => panel.state(time)) };
    }
  }

  /** A player in every replay of the page; the last one is also `window.__replay`. */
  lab.start = () => document.querySelectorAll(".evolab-replay:not(.rp-on)").forEach((root) => {
    root.classList.add("rp-on");
    if (!window.DecompressionStream) {
      const words = "This browser is too old for the replay: it needs DecompressionStream, which any of 2023 or later has.";
      root.querySelector(".rp-app").textContent = words;
      return;
    }
    window.__replay = new Player(root);
  });
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", lab.start);
  else lab.start();
})((window.EvolabReplay = window.EvolabReplay || {}));
