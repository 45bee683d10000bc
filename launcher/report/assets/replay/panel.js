"use strict";
// One picture of the replay: who is shown, the canvas, and what there is to say about this moment.
(function (lab) {
  const minus = (text) => text.replace(/^-(0\.?0*$)/, "$1").replace("-", "−");
  const figure = (value) => minus(Math.abs(value) >= 1e6 ? value.toExponential(3) : String(Number(value.toPrecision(4))));

  lab.element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  class Panel {
    constructor(root, recordings, label, nobody, changed) {
      this.recordings = recordings;
      this.changed = changed;
      this.film = this.view = null;
      this.asked = 0;
      this.canvas = null;
      this.choice = lab.element("select", { "aria-label": `who is shown ${label}` });
      if (nobody) this.choice.append(lab.element("option", { value: "" }, "nobody beside it"));
      recordings.forEach((one, k) => this.choice.append(lab.element("option", { value: String(k) }, one.title)));
      this.stage = lab.element("div", { class: "rp-stage" });
      this.now = lab.element("p", { class: "rp-now" });
      this.about = lab.element("p", { class: "rp-about" });
      this.element = lab.element("div", { class: "rp-panel" }, this.choice, this.stage, this.now, this.about);
      root.append(this.element);
    }

    get recording() { return this.film && this.film.recording; }

    get seconds() { return this.film ? this.film.seconds : 0; }

    /** Show a recording (its number; null: nobody). */
    async show(number, settings) {
      const asked = (this.asked += 1);
      this.choice.value = number === null ? "" : String(number);
      const film = number === null ? null : await lab.open(this.recordings[number]);
      if (asked !== this.asked) return; // somebody else has been chosen meanwhile
      this.clear();
      this.film = film;
      this.element.classList.toggle("rp-empty", !film);
      if (film) this.set(settings);
      this.changed();
    }

    set({ colours, mode }) {
      const words = `moving picture: ${this.recording.title}`;
      this.canvas = lab.element("canvas", { tabindex: "0", role: "img", "aria-label": words });
      this.stage.append(this.canvas);
      const solid = this.recording.kind === "creature" && lab.has3d();
      const Kind = solid ? lab.CreatureView : lab.FlatView;
      this.view = new Kind(this.canvas, this.film, colours, this.changed);
      if (mode && this.view.watch) this.view.watch(mode);
      if (this.view.controls) {
        this.canvas.addEventListener("focus", () => { this.view.controls.enableZoom = true; });
        this.canvas.addEventListener("blur", () => { this.view.controls.enableZoom = false; });
        this.canvas.addEventListener("pointerdown", () => this.canvas.focus({ preventScroll: true }));
      }
      const flat = this.recording.kind === "creature" && !solid;
      this.about.textContent = `${flat ? "Seen from above: this browser has no WebGL. " : ""}${this.told()}`;
      this.resize();
    }

    /** What stays true for the whole episode. */
    told() {
      const one = this.recording, words = [`Fitness of this episode: ${figure(one.fitness)}.`];
      if (one.what === "champion" && one.episodes > 1) {
        const [low, high] = one.ci95.map(figure);
        words.push(`Mean of ${one.episodes} held-out episodes: ${figure(one.scored)} (95 %: ${low} to ${high});`);
        words.push("this is the first of them.");
      } else if (one.episodes > 1) {
        words.push(`Scored ${figure(one.scored)}, the mean of ${one.episodes} episodes; this is the first of them.`);
      }
      const end = one.ended === "finished" ? "ran its course" : `ended: ${one.ended}`;
      words.push(`Generation ${one.generation}; the episode ${end}.`);
      const whole = figure(one.steps * one.step_seconds);
      if (one.last < one.steps) words.push(`Recorded: its first ${figure(this.seconds)} of ${whole} s.`);
      if (one.kind === "car") words.push("Shown at 30 steps a second.");
      return words.join(" ");
    }

    /** What is true at time t. */
    moment(t) {
      if (this.recording.kind !== "creature") {
        const row = this.film.at(t);
        return this.recording.state.map((name, k) => {
          const [, what, unit] = name.match(/^(.*?)(?: \((.*)\))?$/);
          return `${what} ${minus(row[k].toFixed(2))}${unit ? ` ${unit}` : ""}`;
        }).join(" · ");
      }
      const { eaten, next } = this.film.pellets(t);
      const here = this.film.centre(this.film.at(t)), start = this.film.path;
      const parts = [`${eaten} pellet${eaten === 1 ? "" : "s"} eaten`];
      if (next) parts.push(`the next ${Math.hypot(next.at[0] - here[0], next.at[2] - here[2]).toFixed(1)} m away`);
      parts.push(`${Math.hypot(here[0] - start[0], here[2] - start[1]).toFixed(1)} m from the start`);
      return parts.join(" · ");
    }

    resize() {
      if (!this.view) return;
      const width = Math.max(80, this.stage.clientWidth), height = Math.max(80, this.stage.clientHeight);
      this.view.resize(width, height, Math.min(2, window.devicePixelRatio || 1));
    }

    draw(t, trail) {
      if (!this.view) return;
      const own = Math.min(t, this.seconds);
      this.view.draw(own, trail);
      this.now.textContent = `${this.moment(own)}${t > own + 1e-9 ? ` · over at ${own.toFixed(1)} s` : ""}`;
    }

    /** As numbers, for whoever wants to check. */
    state(t) {
      const own = Math.min(t, this.seconds), row = Array.from(this.film.at(own));
      const { title, what, island, fitness, kind } = this.recording;
      const found = { title, what, island, fitness, kind, row, time: own, solid: Boolean(this.view.controls) };
      if (kind === "creature") Object.assign(found, { centre: this.film.centre(row), eaten: this.film.pellets(own).eaten });
      return found;
    }

    clear() {
      if (this.view) this.view.dispose();
      this.view = null;
      this.stage.replaceChildren();
      this.now.textContent = this.about.textContent = "";
    }
  }
  lab.Panel = Panel;
})((window.EvolabReplay = window.EvolabReplay || {}));
