"use strict";
// Drawings on a plain canvas: carts and their poles, the pendulum, the acrobot, the car on its hill; and, where there
// is no 3-D, a creature from above.
(function (lab) {
  const DRAWINGS = {
    cart: { world: [-2.9, 2.9, -0.75, 1.35], draw: cart },
    pendulum: { world: [-1.5, 1.5, -1.5, 1.4], draw: pendulum },
    acrobot: { world: [-2.6, 2.6, -2.3, 2.3], draw: acrobot },
    car: { world: [-1.3, 0.7, -0.15, 1.25], draw: car },
    creature: { world: [-6, 6, -4, 4], draw: above },
  };

  class Pen {
    constructor(context, width, height, world, colours) {
      Object.assign(this, { context, colours });
      const [left, right, low, high] = world;
      this.scale = Math.min(width / (right - left), height / (high - low));
      this.x = (value) => width / 2 + (value - (left + right) / 2) * this.scale;
      this.y = (value) => height / 2 - (value - (low + high) / 2) * this.scale;
      context.lineCap = context.lineJoin = "round";
      context.font = `${Math.max(11, Math.min(14, width / 40))}px system-ui, sans-serif`;
    }

    line(points, colour, width, dash = []) {
      const { context } = this;
      context.beginPath();
      points.forEach(([x, y], k) => (k ? context.lineTo(this.x(x), this.y(y)) : context.moveTo(this.x(x), this.y(y))));
      Object.assign(context, { strokeStyle: this.colours[colour] || colour, lineWidth: width });
      context.setLineDash(dash);
      context.stroke();
      context.setLineDash([]);
    }

    /** radius in metres. */
    disc(x, y, radius, colour) {
      this.context.beginPath();
      this.context.arc(this.x(x), this.y(y), Math.max(2, radius * this.scale), 0, 2 * Math.PI);
      this.context.fillStyle = this.colours[colour];
      this.context.fill();
    }

    box(x, y, width, height, colour, turn = 0) {
      const { context } = this;
      context.save();
      context.translate(this.x(x), this.y(y));
      context.rotate(-turn);
      context.fillStyle = this.colours[colour];
      context.fillRect((-width / 2) * this.scale, -height * this.scale, width * this.scale, height * this.scale);
      context.restore();
    }

    text(words, x, y, align = "center") {
      Object.assign(this.context, { fillStyle: this.colours.muted, textAlign: align, textBaseline: "top" });
      this.context.fillText(words, this.x(x), this.y(y) + 5);
    }
  }

  function cart(pen, film, row) {
    const { numbers } = film.recording;
    pen.line([[-2.9, 0], [2.9, 0]], "bold", 2);
    for (let x = -2; x <= 2; x += 1) {
      pen.line([[x, 0], [x, -0.05]], "bold", 2);
      pen.text(`${x} m`, x, -0.06);
    }
    for (const end of [-2.4, 2.4]) pen.line([[end, -0.12], [end, 0.5]], "muted", 2, [6, 5]);
    pen.text("end of the track", 2.4, -0.28, "right");
    pen.box(row[0], 0.02, 0.5, 0.2, "node");
    for (const side of [-0.15, 0.15]) pen.disc(row[0] + side, 0.03, 0.05, "ink");
    const halves = row.length > 4 ? [0.5, 0.05] : [numbers.half_length || 0.5];
    halves.forEach((half, k) => {
      const angle = row[2 + 2 * k], foot = [row[0], 0.22], long = 2 * half;
      const tip = [foot[0] + long * Math.sin(angle), foot[1] + long * Math.cos(angle)];
      pen.line([foot, tip], k ? "pellet" : "long", k ? 5 : 7);
      pen.disc(...foot, 0.03, "ink");
    });
  }

  function pendulum(pen, film, row) {
    pen.line([[0, 0], [0, 1.2]], "bold", 2, [5, 6]);
    pen.text("up", 0.05, 1.2, "left");
    pen.line([[0, 0], [Math.sin(row[0]), Math.cos(row[0])]], "long", 12);
    pen.disc(0, 0, 0.06, "ink");
    pen.line([[-1, -1.22], [0, -1.22]], "bold", 2);
    pen.text("1 m", -0.5, -1.22);
  }

  function acrobot(pen, film, row) {
    const [one, two] = row;
    const elbow = [Math.sin(one), -Math.cos(one)];
    const hand = [elbow[0] + Math.sin(one + two), elbow[1] - Math.cos(one + two)];
    pen.line([[-2.4, 1], [2.4, 1]], "pellet", 2, [8, 6]);
    pen.text("to be reached (1 m above the axle)", -2.4, 1, "left");
    pen.line([[0, 0], elbow], "node", 10);
    pen.line([elbow, hand], "long", 10);
    pen.disc(0, 0, 0.09, "ink");
    pen.disc(...elbow, 0.09, "ink");
    pen.disc(...hand, 0.07, "pellet");
  }

  function car(pen, film, row) {
    const hill = (x) => 0.45 * Math.sin(3 * x) + 0.55;
    const goal = film.recording.task === "mountain_car_continuous" ? 0.45 : 0.5;
    const points = Array.from({ length: 91 }, (_, k) => -1.2 + k * 0.02).map((x) => [x, hill(x)]);
    pen.line(points, "bold", 3);
    pen.line([[goal, hill(goal)], [goal, hill(goal) + 0.2]], "ink", 2);
    pen.line([[goal, hill(goal) + 0.2], [goal + 0.07, hill(goal) + 0.165], [goal, hill(goal) + 0.13]], "pellet", 5);
    pen.text(`goal, position ${goal}`, goal, hill(goal) - 0.02, "right");
    const turn = Math.atan(1.35 * Math.cos(3 * row[0]));
    const [cosine, sine] = [Math.cos(turn), Math.sin(turn)];
    const off = (along, up) => [row[0] + along * cosine - up * sine, hill(row[0]) + along * sine + up * cosine];
    pen.box(...off(0, 0.025), 0.14, 0.05, "node", turn);
    for (const side of [-0.04, 0.04]) pen.disc(...off(side, 0.022), 0.02, "ink");
  }

  function above(pen, film, row, t, trail) {
    const [cx, cz] = film.focus(t);
    const at = (x, z) => [x - cx, cz - z];
    for (let k = -8; k <= 8; k += 1) {
      const bold = (n) => (n % 5 ? "grid" : "bold"), x = Math.round(cx) + k, z = Math.round(cz) + k;
      pen.line([at(x, cz - 9), at(x, cz + 9)], bold(x), 1);
      pen.line([at(cx - 9, z), at(cx + 9, z)], bold(z), 1);
    }
    const way = Array.from({ length: film.passed(t) }, (_, k) => at(film.path[2 * k], film.path[2 * k + 1]));
    if (trail) pen.line(way, "trail", 2);
    const node = (n) => at(row[3 * n], row[3 * n + 2]);
    const { next } = film.pellets(t);
    if (next) pen.disc(...at(next.at[0], next.at[2]), 0.2, "pellet");
    film.recording.radius.forEach((radius, n) => pen.disc(...node(n), radius, "node"));
    film.recording.muscles.forEach(([one, two], j) => {
      const length = Math.hypot(...[0, 1, 2].map((axis) => row[3 * one + axis] - row[3 * two + axis]));
      const { name, much } = lab.contraction(film.recording.rest[j], length);
      const colour = `color-mix(in srgb, ${pen.colours[name]} ${100 * much}%, ${pen.colours.rest})`;
      pen.line([node(one), node(two)], colour, 4);
    });
  }

  class FlatView {
    constructor(canvas, film, colours) {
      Object.assign(this, { canvas, film, colours, context: canvas.getContext("2d") });
      this.drawing = DRAWINGS[film.recording.kind];
    }

    paint(colours) { this.colours = colours; }

    resize(width, height, ratio) {
      Object.assign(this, { width, height, ratio });
      Object.assign(this.canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    }

    draw(t, trail) {
      const { context, width, height, ratio } = this;
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.fillStyle = this.colours.back;
      context.fillRect(0, 0, width, height);
      const pen = new Pen(context, width, height, this.drawing.world, this.colours);
      this.drawing.draw(pen, this.film, this.film.at(t), t, trail);
    }

    dispose() {}
  }
  lab.FlatView = FlatView;
})((window.EvolabReplay = window.EvolabReplay || {}));
