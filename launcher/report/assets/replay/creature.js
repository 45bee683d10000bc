"use strict";
// A creature in 3-D: body nodes, muscles, pellets, the ground and the way so far.
(function (lab) {
  const UP = () => new THREE.Vector3(0, 1, 0);
  const THICK = 0.045; // of a muscle at rest, m
  const FIELD = 240; // m of ground each way

  class CreatureView {
    constructor(canvas, film, colours, changed) {
      this.canvas = canvas;
      this.film = film;
      this.renderer = new THREE.WebGLRenderer({ canvas, antialias: true, preserveDrawingBuffer: true });
      this.scene = new THREE.Scene();
      this.camera = new THREE.PerspectiveCamera(42, 1, 0.1, 200);
      this.controls = new THREE.OrbitControls(this.camera, canvas);
      this.controls.maxPolarAngle = Math.PI / 2 - 0.03;
      this.controls.minDistance = 1.5;
      this.controls.maxDistance = 60;
      this.controls.enableZoom = false; // until the picture has the focus: the page scrolls by the wheel
      canvas.style.touchAction = "pan-y";
      this.target = new THREE.Vector3();
      this.mode = "follow";
      this.build();
      this.paint(colours);
      this.home();
      this.controls.addEventListener("change", changed);
    }

    build() {
      const { recording } = this.film;
      this.lights = [new THREE.AmbientLight(0xffffff, 1.4), new THREE.DirectionalLight(0xffffff, 2.2)];
      this.lights[1].position.set(4, 9, 5);
      this.ground = this.mesh(new THREE.PlaneGeometry(FIELD, FIELD), new THREE.MeshBasicMaterial());
      this.ground.rotation.x = -Math.PI / 2;
      const ball = new THREE.SphereGeometry(1, 24, 16);
      this.nodes = recording.radius.map((radius) => {
        const mesh = this.mesh(ball, new THREE.MeshLambertMaterial());
        mesh.scale.setScalar(radius);
        return mesh;
      });
      const rod = new THREE.CylinderGeometry(1, 1, 1, 10);
      this.muscles = recording.muscles.map(() => this.mesh(rod, new THREE.MeshLambertMaterial()));
      this.pellet = this.mesh(ball, new THREE.MeshLambertMaterial());
      this.pellet.scale.setScalar(0.2);
      this.stem = this.mesh(rod, new THREE.MeshBasicMaterial());
      this.rings = recording.pellets.map(() => this.ring(0.3, 0.35));
      this.start = this.ring(0.1, 0.16);
      this.start.position.set(this.film.path[0], 0.01, this.film.path[1]);
      this.trail = this.way();
      this.scene.add(...this.lights);
    }

    mesh(shape, material) {
      const made = new THREE.Mesh(shape, material);
      this.scene.add(made);
      return made;
    }

    ring(inner, outer) {
      const made = this.mesh(new THREE.RingGeometry(inner, outer, 32), new THREE.MeshBasicMaterial());
      made.rotation.x = -Math.PI / 2;
      return made;
    }

    way() {
      const points = new Float32Array(this.film.rows * 3);
      for (let row = 0; row < this.film.rows; row += 1) {
        points.set([this.film.path[2 * row], 0.02, this.film.path[2 * row + 1]], 3 * row);
      }
      const shape = new THREE.BufferGeometry();
      shape.setAttribute("position", new THREE.BufferAttribute(points, 3));
      const line = new THREE.Line(shape, new THREE.LineBasicMaterial());
      line.frustumCulled = false;
      this.scene.add(line);
      return line;
    }

    /** The ground's squares as a picture of 5 m x 5 m that repeats. */
    squares(colours) {
      const tile = lab.element("canvas", { width: "640", height: "640" });
      const pen = tile.getContext("2d");
      pen.fillStyle = colours.ground;
      pen.fillRect(0, 0, 640, 640);
      for (let k = 0; k <= 5; k += 1) {
        const bold = k % 5 === 0, wide = bold ? 8 : 4;
        pen.fillStyle = bold ? colours.bold : colours.grid;
        pen.fillRect(128 * k - wide / 2, 0, wide, 640);
        pen.fillRect(0, 128 * k - wide / 2, 640, wide);
      }
      const texture = new THREE.CanvasTexture(tile);
      texture.wrapS = texture.wrapT = THREE.RepeatWrapping;
      texture.repeat.set(FIELD / 5, FIELD / 5);
      texture.colorSpace = THREE.SRGBColorSpace;
      texture.anisotropy = this.renderer.capabilities.getMaxAnisotropy();
      return texture;
    }

    /** Take the page's colours. */
    paint(colours) {
      this.colours = Object.fromEntries(Object.entries(colours).map(([name, value]) => [name, new THREE.Color(value)]));
      const of = this.colours;
      this.scene.background = of.back;
      this.scene.fog = new THREE.Fog(of.back, 18, 70);
      this.ground.material.map?.dispose();
      this.ground.material.map = this.squares(colours);
      this.ground.material.needsUpdate = true;
      this.nodes.forEach((node) => { node.material.color = of.node; });
      [this.pellet, this.stem, ...this.rings].forEach((part) => { part.material.color = of.pellet; });
      [this.trail, this.start].forEach((part) => { part.material.color = of.trail; });
    }

    /** Put the camera where it starts: behind the creature as seen from its first pellet, a little to the side. */
    home() {
      const [x, z] = this.film.focus(0);
      const [px, , pz] = this.film.recording.pellets[0].at;
      const angle = Math.atan2(pz - z, px - x) + Math.PI + 0.5;
      this.target.set(x, 0.6, z);
      this.controls.target.copy(this.target);
      const away = Math.min(20, 4 + 2.2 * this.film.reach);
      const far = this.mode === "above" ? [0.01, 2 * away] : [0.88 * away, 0.5 * away];
      this.camera.position.set(x + far[0] * Math.cos(angle), far[1], z + far[0] * Math.sin(angle));
      this.controls.update();
    }

    /** follow, stay or above. */
    watch(mode) {
      const turned = (mode === "above") !== (this.mode === "above");
      this.mode = mode;
      if (turned) this.home();
    }

    /** Turn around the creature, in radians. */
    orbit(side, rise) {
      const away = this.camera.position.clone().sub(this.controls.target);
      const far = away.length();
      const polar = Math.min(Math.PI / 2 - 0.04, Math.max(0.01, Math.acos(away.y / far) + rise));
      const turn = Math.atan2(away.x, away.z) + side;
      away.set(Math.sin(polar) * Math.sin(turn), Math.cos(polar), Math.sin(polar) * Math.cos(turn)).multiplyScalar(far);
      this.camera.position.copy(this.controls.target).add(away);
      this.controls.update();
    }

    /** Nearer (below 1) or further away. */
    zoom(factor) {
      const away = this.camera.position.clone().sub(this.controls.target).multiplyScalar(factor);
      away.clampLength(this.controls.minDistance, this.controls.maxDistance);
      this.camera.position.copy(this.controls.target).add(away);
      this.controls.update();
    }

    resize(width, height, ratio) {
      this.renderer.setPixelRatio(ratio);
      this.renderer.setSize(width, height, false);
      this.camera.aspect = width / height;
      this.camera.updateProjectionMatrix();
    }

    draw(t, trail) {
      const row = this.film.at(t);
      this.nodes.forEach((node, n) => node.position.set(row[3 * n], row[3 * n + 1], row[3 * n + 2]));
      this.muscles.forEach((muscle, j) => this.pull(muscle, j));
      this.feed(t);
      this.trail.visible = this.start.visible = trail;
      this.trail.geometry.setDrawRange(0, this.film.passed(t));
      this.move(t);
      this.renderer.render(this.scene, this.camera);
    }

    pull(muscle, j) {
      const { muscles, rest } = this.film.recording;
      const [one, two] = muscles[j].map((node) => this.nodes[node].position);
      const between = two.clone().sub(one);
      const length = Math.max(1e-6, between.length());
      muscle.position.copy(one).addScaledVector(between, 0.5);
      muscle.quaternion.setFromUnitVectors(UP(), between.divideScalar(length));
      const thick = THICK * Math.min(2, Math.max(0.5, rest[j] / length)); // what is shorter is thicker
      muscle.scale.set(thick, length, thick);
      const { name, much } = lab.contraction(rest[j], length);
      muscle.material.color.copy(this.colours.rest).lerp(this.colours[name], much);
    }

    feed(t) {
      const { next } = this.film.pellets(t);
      this.pellet.visible = this.stem.visible = Boolean(next);
      if (next) {
        const [x, y, z] = next.at;
        this.pellet.position.set(x, y, z);
        this.stem.position.set(x, y / 2, z);
        this.stem.scale.set(0.015, y, 0.015);
      }
      const step = this.film.step(t) + 1e-6;
      this.film.recording.pellets.forEach((pellet, k) => {
        this.rings[k].visible = pellet.since <= step; // what was eaten leaves its ring on the ground
        this.rings[k].position.set(pellet.at[0], 0.012, pellet.at[2]);
      });
    }

    move(t) {
      if (this.mode === "stay") return;
      const [x, z] = this.film.focus(t);
      const shift = new THREE.Vector3(x - this.target.x, 0, z - this.target.z);
      this.target.add(shift);
      this.controls.target.add(shift);
      this.camera.position.add(shift);
      this.camera.lookAt(this.controls.target);
    }

    dispose() {
      this.controls.dispose();
      this.renderer.dispose();
      this.renderer.forceContextLoss();
    }
  }

  /** Whether this browser draws in 3-D. */
  lab.has3d = () => {
    try {
      const context = document.createElement("canvas").getContext("webgl2");
      if (context) context.getExtension("WEBGL_lose_context")?.loseContext();
      return Boolean(context);
    } catch { return false; }
  };
  lab.CreatureView = CreatureView;
})((window.EvolabReplay = window.EvolabReplay || {}));
