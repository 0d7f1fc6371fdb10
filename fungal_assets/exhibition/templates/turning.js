"use strict";
/* The object of a species' page: its mesh, turned by mouse, finger or keyboard. Until its first frame stands, and where
   there is no WebGL 2, the page keeps its film or picture. */
(async () => {
  const VERTEX = `
    layout(location = 0) in vec3 a_place; layout(location = 1) in vec3 a_normal;
    layout(location = 2) in vec2 a_uv; layout(location = 3) in vec4 a_colour;
    uniform mat4 u_camera;
    out vec3 v_place, v_normal; out vec2 v_uv; out vec3 v_colour;
    void main() {
      v_place = a_place; v_normal = a_normal; v_uv = a_uv; v_colour = a_colour.rgb;
      gl_Position = u_camera * vec4(a_place, 1.);
    }`;
  const FRAGMENT = `
    in vec3 v_place, v_normal; in vec2 v_uv; in vec3 v_colour;
    uniform sampler2D u_paint; uniform vec3 u_eye, u_lamp;
    out vec4 colour;
    void main() {
      vec3 n = normalize(v_normal), to_eye = normalize(u_eye - v_place);
      vec3 albedo = texture(u_paint, v_uv).rgb * v_colour;
      float key = max((dot(n, u_lamp) + .25) / 1.25, 0.), edge = pow(1. - max(dot(n, to_eye), 0.), 3.);
      float sheen = pow(max(dot(n, normalize(u_lamp + to_eye)), 0.), 28.);
      vec3 light = 1.12 * key * vec3(1., .95, .86) + mix(vec3(.16, .13, .10), vec3(.36, .39, .44), n.y * .5 + .5);
      vec3 lit = albedo * light + edge * vec3(.09, .085, .08) + sheen * vec3(.035);
      colour = vec4(pow(clamp(lit, 0., 1.), vec3(1. / 2.2)), 1.);
    }`;
  const GROUND_VERTEX = `
    layout(location = 0) in vec3 a_place; layout(location = 2) in vec2 a_uv;
    uniform mat4 u_camera; uniform float u_half; out vec2 v_uv;
    void main() { v_uv = a_uv; gl_Position = u_camera * vec4(a_place * u_half, 1.); }`;
  const GROUND_FRAGMENT = `
    in vec2 v_uv; uniform sampler2D u_paint; out vec4 colour;
    void main() {
      float rim = 1. - smoothstep(.55, 1., length(v_uv * 2. - 1.)), dark = .75 * texture(u_paint, v_uv).r;
      colour = vec4(vec3(.16, .14, .105) * (1. - dark) * .35, .35 + .65 * dark) * rim * rim;
    }`;
  const FOV = 0.5, FIRST = { azimuth: 0.35, elevation: 0.2, nearness: 1 }, TURN_PER_S = 0.35;

  const canvas = document.getElementById("solid");
  const gl = canvas?.getContext("webgl2", { antialias: true, alpha: true });
  if (!gl) return;
  const frame = canvas.parentElement, others = [...frame.children].filter((child) => child !== canvas);
  const tools = document.getElementById("solid-tools");
  const [stillButton, backButton, filmButton] = ["solid-still", "solid-back", "solid-film"].map((id) => document.getElementById(id));

  const { mesh, picture } = Solids.openGlb(globalThis.SOLIDS[canvas.dataset.slug]);
  const { low, high } = Solids.boxOf(mesh);
  const middle = [0, (low[1] + high[1]) / 2, 0];
  const reach = Math.hypot(Math.max(-low[0], high[0]), (high[1] - low[1]) / 2, Math.max(-low[2], high[2]));
  const body = Solids.upload(gl, mesh), skin = await Solids.paint(gl, picture);
  const shade = Solids.footprint(mesh), shadow = Solids.paintBytes(gl, shade.bytes, shade.side);
  const square = Solids.upload(gl, {
    POSITION: new Float32Array([-1, 0, -1, 1, 0, -1, -1, 0, 1, 1, 0, 1]),
    TEXCOORD_0: new Float32Array([0, 0, 1, 0, 0, 1, 1, 1]), INDICES: new Uint16Array([0, 2, 1, 1, 2, 3]),
  });
  const solid = Solids.build(gl, VERTEX, FRAGMENT), ground = Solids.build(gl, GROUND_VERTEX, GROUND_FRAGMENT);

  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const view = { ...FIRST };
  let isTurning = !calm.matches, isSeen = true, isFilm = false, spin = 0, asked = 0, last = 0;

  const render = () => {
    Solids.fit(canvas, Math.min(devicePixelRatio, 2));
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    const away = 0.95 * reach / Math.sin(FOV / 2) / view.nearness;
    const [s, c] = [Math.sin(view.azimuth), Math.cos(view.azimuth)];
    const [t, d] = [Math.sin(view.elevation), Math.cos(view.elevation)];
    const eye = [away * d * s, middle[1] + away * t, away * d * c];
    const camera = Solids.multiply(
      Solids.perspective(FOV, canvas.width / canvas.height, away / 20, away * 4), Solids.look(eye, view.azimuth, -view.elevation));
    const lamp = [-0.55 * c + 0.5 * s, 0.75, 0.55 * s + 0.5 * c], length = Math.hypot(...lamp);
    gl.enable(gl.DEPTH_TEST);
    gl.useProgram(solid.program);
    gl.uniformMatrix4fv(solid.at.u_camera, false, camera);
    gl.uniform3fv(solid.at.u_eye, eye);
    gl.uniform3fv(solid.at.u_lamp, lamp.map((value) => value / length));
    gl.bindTexture(gl.TEXTURE_2D, skin);
    Solids.draw(gl, body);
    if (view.elevation > 0) {
      gl.enable(gl.BLEND);
      gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
      gl.useProgram(ground.program);
      gl.uniformMatrix4fv(ground.at.u_camera, false, camera);
      gl.uniform1f(ground.at.u_half, shade.half);
      gl.bindTexture(gl.TEXTURE_2D, shadow);
      Solids.draw(gl, square);
      gl.disable(gl.BLEND);
    }
  };

  const step = (now) => {
    asked = 0;
    if (!isSeen || isFilm || gl.isContextLost()) return;
    const seconds = Math.min(0.1, (now - last) / 1000);
    last = now;
    if (isTurning) view.azimuth -= TURN_PER_S * seconds;
    view.azimuth += spin * seconds;
    spin *= Math.exp(-5 * seconds);
    render();
    if (isTurning || Math.abs(spin) > 0.01) ask();
  };
  const ask = () => { if (!asked) asked = requestAnimationFrame(step); };

  const settle = () => {
    stillButton.textContent = isTurning ? "Hold still" : "Let turn";
    if (filmButton) filmButton.textContent = isFilm ? "Show the object" : "Show the film";
    stillButton.disabled = backButton.disabled = isFilm;
    canvas.hidden = isFilm;
    for (const other of others) other.hidden = !isFilm;
    ask();
  };
  const hold = () => { if (isTurning) { isTurning = false; settle(); } };
  const turn = (azimuth, elevation, nearness = 1) => {
    view.azimuth += azimuth;
    view.elevation = Math.max(-0.35, Math.min(1.45, view.elevation + elevation));
    view.nearness = Math.max(0.6, Math.min(5, view.nearness * nearness));
    ask();
  };
  const setBack = () => { Object.assign(view, FIRST); spin = 0; ask(); };

  const fingers = new Map();
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    spin = 0;
    hold();
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const apart = () => { const [a, b] = [...fingers.values()]; return Math.hypot(a[0] - b[0], a[1] - b[1]); };
    const width = fingers.size === 2 ? apart() : 0;
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (fingers.size === 2) return turn(0, 0, apart() / Math.max(width, 1));
    const [dx, dy] = [event.clientX - before[0], event.clientY - before[1]].map((px) => 3.2 * px / canvas.clientHeight);
    spin = calm.matches ? 0 : -dx * 12;
    turn(-dx, dy);
  });
  for (const end of ["pointerup", "pointercancel"])
    canvas.addEventListener(end, (event) => { fingers.delete(event.pointerId); ask(); });
  canvas.addEventListener("wheel", (event) => {
    if (document.activeElement !== canvas) return;
    event.preventDefault();
    turn(0, 0, Math.exp(-event.deltaY / 600));
  }, { passive: false });
  const KEYS = {
    ArrowLeft: () => turn(0.15, 0), ArrowRight: () => turn(-0.15, 0), ArrowUp: () => turn(0, 0.12),
    ArrowDown: () => turn(0, -0.12), "+": () => turn(0, 0, 1.15), "=": () => turn(0, 0, 1.15),
    "-": () => turn(0, 0, 1 / 1.15), Home: setBack, r: setBack,
    " ": () => { isTurning = !isTurning; settle(); },
  };
  canvas.addEventListener("keydown", (event) => {
    const act = KEYS[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (event.key !== " ") hold();
    act();
  });
  stillButton.addEventListener("click", KEYS[" "]);
  backButton.addEventListener("click", setBack);
  filmButton?.addEventListener("click", () => { isFilm = !isFilm; settle(); });
  calm.addEventListener("change", () => { if (calm.matches) hold(); });
  new ResizeObserver(ask).observe(canvas);
  new IntersectionObserver(([entry]) => { isSeen = entry.isIntersecting; if (isSeen) ask(); }).observe(canvas);
  canvas.addEventListener("webglcontextlost", () => { tools.hidden = canvas.hidden = true; for (const other of others) other.hidden = false; });

  frame.classList.add("form");
  tools.hidden = false;
  settle();
  last = performance.now();
  render();
  canvas.dataset.drawn = "true";
})();
