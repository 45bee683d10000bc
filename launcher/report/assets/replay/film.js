"use strict";
// A recording's frames: unpacked (islands/recording.py says how they are packed) and asked for at any time.
(function (lab) {
  const SPINS = { acrobot: [[0, 2], [1, 3]] }; // columns of an angle that wraps, and of its speed

  async function inflated(text) {
    const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  function unpacked(bytes, rows, width, units) {
    const values = new Float64Array(rows * width);
    const half = rows * width;
    for (let column = 0; column < width; column += 1) {
      const unit = units.length === 1 ? units[0] : units[column];
      let sum = 0;
      for (let row = 0; row < rows; row += 1) {
        const at = column * rows + row;
        sum = ((sum + bytes[at] + 256 * bytes[half + at]) << 16) >> 16;
        values[row * width + column] = sum * unit;
      }
    }
    return values;
  }

  class Film {
    constructor(recording, bytes) {
      this.recording = recording;
      [this.rows, this.width] = recording.shape;
      this.values = unpacked(bytes, this.rows, this.width, recording.units);
      this.seconds = recording.last * recording.step_seconds;
      this.row = new Float64Array(this.width);
      if (recording.kind === "creature") this.follow();
    }

    /** The step (not whole) that time t falls into. */
    step(t) {
      return Math.min(this.recording.last, Math.max(0, t / this.recording.step_seconds));
    }

    /** The row at time t, between two frames by interpolation; the same array every time. */
    at(t) {
      const { every, last, step_seconds: dt } = this.recording;
      const step = this.step(t);
      const from = Math.min(Math.floor(step / every + 1e-9), Math.max(0, this.rows - 2));
      const to = Math.min(from + 1, this.rows - 1);
      const length = Math.min(to * every, last) - from * every;
      const share = length > 0 ? Math.min(1, Math.max(0, (step - from * every) / length)) : 0;
      for (let column = 0; column < this.width; column += 1) {
        const one = this.values[from * this.width + column];
        this.row[column] = one + (this.values[to * this.width + column] - one) * share;
      }
      for (const pair of SPINS[this.recording.kind] || []) this.spin(pair, from, to, share, length * dt);
      return this.row;
    }

    /** An angle that may have wrapped: turned the way its speed says. */
    spin([angle, speed], from, to, share, seconds) {
      const value = (row, column) => this.values[row * this.width + column];
      const rate = (value(from, speed) + value(to, speed)) / 2;
      const turns = (value(from, angle) + rate * seconds - value(to, angle)) / (2 * Math.PI);
      const end = value(to, angle) + 2 * Math.PI * Math.round(turns);
      this.row[angle] = value(from, angle) + (end - value(from, angle)) * share;
    }

    /** The centre of mass in a row of positions: [x, y, z]. */
    centre(row, offset = 0) {
      const found = [0, 0, 0];
      let total = 0;
      this.recording.mass.forEach((mass, node) => {
        total += mass;
        for (let axis = 0; axis < 3; axis += 1) found[axis] += mass * row[offset + 3 * node + axis];
      });
      return found.map((sum) => sum / total);
    }

    /** The way of the centre of mass over the ground, the same smoothed over a second for a camera, and how far (m)
     * the body reaches from it, but for a tenth of the time. */
    follow() {
      this.path = new Float32Array(this.rows * 2);
      const far = new Float32Array(this.rows);
      for (let row = 0; row < this.rows; row += 1) {
        const at = row * this.width, [x, , z] = this.centre(this.values, at);
        this.path.set([x, z], 2 * row);
        for (let k = at; k < at + this.width; k += 3) {
          far[row] = Math.max(far[row], Math.hypot(this.values[k] - x, this.values[k + 2] - z));
        }
      }
      this.reach = far.sort()[Math.floor(0.9 * (this.rows - 1))];
      const reach = Math.max(1, Math.round(0.5 / (this.recording.every * this.recording.step_seconds)));
      this.smooth = new Float32Array(this.rows * 2);
      for (let row = 0; row < this.rows; row += 1) {
        const near = Math.min(reach, row, this.rows - 1 - row);
        for (let axis = 0; axis < 2; axis += 1) {
          let sum = 0;
          for (let k = -near; k <= near; k += 1) sum += this.path[2 * (row + k) + axis];
          this.smooth[2 * row + axis] = sum / (2 * near + 1);
        }
      }
    }

    /** Where a camera looks at time t: [x, z]. */
    focus(t) {
      const row = this.step(t) / this.recording.every;
      const from = Math.min(Math.floor(row), this.rows - 1), to = Math.min(from + 1, this.rows - 1);
      return [0, 1].map((axis) => {
        const one = this.smooth[2 * from + axis];
        return one + (this.smooth[2 * to + axis] - one) * (row - from);
      });
    }

    /** How many frames have begun by time t. */
    passed(t) {
      return Math.min(this.rows, Math.floor(this.step(t) / this.recording.every + 1e-9) + 1);
    }

    /** The pellet that lies there at time t, and how many have been eaten by then. */
    pellets(t) {
      const step = this.step(t) + 1e-6;
      const all = this.recording.pellets;
      const eaten = all.filter((pellet) => pellet.eaten !== null && pellet.eaten <= step).length;
      const next = all.find((pellet) => pellet.since <= step && (pellet.eaten === null || pellet.eaten > step));
      return { eaten, next };
    }
  }

  lab.open = async (recording) => new Film(recording, await inflated(recording.frames));

  /** The colours that the page has just now, by name. */
  lab.colours = (element) => {
    const style = getComputedStyle(element);
    const names = ["back", "ground", "grid", "bold", "ink", "muted", "node", "short", "rest", "long", "pellet", "trail"];
    return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--rp-${name}`).trim()]));
  };

  /** From the share by which a muscle is shorter than at rest: the colours' names to mix, and how much of the first. */
  lab.contraction = (rest, length) => {
    const share = (rest - length) / rest;
    return { name: share > 0 ? "short" : "long", much: Math.min(1, Math.abs(share) / 0.4) };
  };
})((window.EvolabReplay = window.EvolabReplay || {}));
