"use strict";
/* The forest walk: the eye, the hands, the names that appear, and the drawing of each frame.

   Belongs here: moving and showing. Shaders are in `forest.js`, trunks and grass in `props.js`, the plan of the walk
   (`FOREST`) is written by `exhibition/forest.py`. Without WebGL 2 the page keeps its list of species. */
(async () => {
  const EYE = 0.82, SPEED = 1.9, FOV = 0.95, NAMED_WITHIN = 6, OPENED_WITHIN = 3.6, DAY_S = 480, NEAR_LEVEL = 6;
  const canvas = document.getElementById("walk"), stage = document.getElementById("stage");
  const gl = canvas.getContext("webgl2", { antialias: devicePixelRatio < 2, alpha: false, powerPreference: "high-performance" });
  if (!gl) { stage.hidden = true; return; }
  const forest = globalThis.FOREST, root = stage.dataset.root;
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const land = Props.survey(forest), { rows, trunks } = Props.scatter(land, forest);

  /* What is drawn. */
  const programs = Forest.build(gl), shapes = Props.shapes();
  const noise = Solids.paintBytes(gl, Props.makeNoise(), 256, { isRepeated: true });
  const kinds = Solids.paintBytes(gl, Props.chart(land), 128);
  const blob = Solids.paintBytes(gl, Uint8Array.from({ length: 4096 }, (_, i) =>
    200 * Math.exp(-3.2 * (((i % 64) / 31.5 - 1) ** 2 + (Math.floor(i / 64) / 31.5 - 1) ** 2))), 64);
  const ground = Solids.upload(gl, Props.sheet(land.reach)), square = Solids.upload(gl, Props.sheet(1, 5));
  const buffer = (values) => {
    const made = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, made);
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(values), gl.STATIC_DRAW);
    return made;
  };
  const props = Object.keys(rows).filter((name) => rows[name].length).map((name) =>
    ({ name, mesh: Solids.upload(gl, shapes[name]), instances: buffer(rows[name]), count: rows[name].length / 8 }));
  const load = async ({ near, far }) => {
    const levels = [];
    for (const text of near === far ? [near] : [near, far]) {
      const { mesh, picture } = Solids.openGlb(text), { high } = Solids.boxOf(mesh);
      levels.push({ mesh: Solids.upload(gl, mesh), paint: await Solids.paint(gl, picture), unit: 1 / high[1], shade: Solids.footprint(mesh) });
    }
    const { shade, unit } = levels.at(-1);
    return { levels, shadow: Solids.paintBytes(gl, shade.bytes, shade.side), half: shade.half * unit };
  };
  const species = await Promise.all(forest.species.map(load));
  const stations = forest.stations.map((station) => {
    const base = Props.lift(station.x, station.z) + Props.STUMP_HEIGHT - 0.03;
    const values = station.individuals.flatMap(([x, z, scale, ...habit]) =>
      [x, (station.has_stump ? base : Props.lift(x, z)) - 0.015 * scale, z, scale, ...habit.slice(0, 4)]);
    const tallest = Math.max(...station.individuals.map((one) => one[2]));
    return { ...station, instances: buffer(values), count: station.individuals.length, top: values[1] + tallest, height: tallest };
  });

  /* Where one stands and looks. */
  const wished = new URLSearchParams(location.search).get("at");
  const first = stations.find((one) => one.is_first && forest.species[one.species].slug === wished) ?? stations.find((one) => one.is_first);
  const start = Math.atan2(first.x, first.z) - 3.1 / forest.path.radius;
  const eye = [land.curve(start) * Math.sin(start), 0, land.curve(start) * Math.cos(start)];
  const facing = (x, z) => Math.atan2(eye[0] - x, eye[2] - z);
  let azimuth = facing(first.x, first.z) - 0.12, elevation = -0.03, isLed = false, hour = 0.12, isHourHeld = calm.matches;
  let share = Math.min(devicePixelRatio, 1.5), clock = 0, last = 0, asked = 0, isSeen = true, stride = 0, slow = 0, frames = 0;
  const sunward = azimuth - 0.35 + Math.PI;
  const held = new Set(), stick = [0, 0], drags = new Map();

  const walkable = (x, z) => {
    for (const { x: a, z: b, radius } of [...trunks, ...stations.map((one) => ({ x: one.x, z: one.z, radius: one.reach * 0.9 + (one.has_stump ? 0.3 : 0) }))]) {
      const apart = Math.hypot(x - a, z - b), room = radius + 0.3;
      if (apart < room) [x, z] = [a + (x - a) / apart * room, b + (z - b) / apart * room];
    }
    const away = Math.hypot(x, z), most = land.reach - 18;
    return away > most ? [x / away * most, z / away * most] : [x, z];
  };
  const KEYS = { w: [0, 1], ArrowUp: [0, 1], s: [0, -1], ArrowDown: [0, -1], a: [-1, 0], d: [1, 0] };
  const move = (seconds) => {
    let [right, ahead] = stick;
    for (const key of held) if (KEYS[key]) { right += KEYS[key][0]; ahead += KEYS[key][1]; }
    azimuth += 1.5 * seconds * (held.has("ArrowLeft") - held.has("ArrowRight"));
    if (right || ahead) isLed = false;
    if (isLed) return lead(seconds);
    const length = Math.max(1, Math.hypot(right, ahead)), pace = (SPEED * (held.has("Shift") ? 2 : 1) * seconds) / length;
    const [s, c] = [Math.sin(azimuth), Math.cos(azimuth)];
    go(eye[0] + pace * (right * c - ahead * s), eye[2] - pace * (right * s + ahead * c));
  };
  const go = (x, z) => {
    const [a, b] = walkable(x, z);
    stride += Math.hypot(a - eye[0], b - eye[2]);
    [eye[0], eye[2]] = [a, b];
    const bob = calm.matches ? 0 : 0.018 * Math.sin(stride * 5.2);
    eye[1] = Props.lift(a, b) + EYE + bob;
  };
  /* Along the path, slowly past each group and with an eye on it. */
  const lead = (seconds) => {
    const here = Math.atan2(eye[0], eye[2]), next = here + 1.2 / forest.path.radius;
    const aim = [land.curve(next) * Math.sin(next), land.curve(next) * Math.cos(next)];
    const way = [aim[0] - eye[0], aim[1] - eye[2]], length = Math.hypot(...way);
    const ahead = stations.filter((one) => one.is_first).map((one) => {
      const [dx, dz] = [one.x - eye[0], one.z - eye[2]], apart = Math.hypot(dx, dz);
      return { one, apart, along: (dx * way[0] + dz * way[1]) / (apart * length) };
    }).filter(({ apart, along }) => apart < 6.5 && along > 0.2).sort((a, b) => a.apart - b.apart)[0];
    const pace = SPEED * 0.42 * (ahead && ahead.apart < 2.6 ? 0.5 : 1) * seconds;
    go(eye[0] + way[0] / length * pace, eye[2] + way[1] / length * pace);
    const wanted = ahead ? facing(ahead.one.x, ahead.one.z) : facing(...aim);
    const turn = Math.atan2(Math.sin(wanted - azimuth), Math.cos(wanted - azimuth));
    azimuth += turn * (1 - Math.exp(-1.1 * seconds));
    elevation += (-0.04 - elevation) * (1 - Math.exp(-seconds));
  };

  /* One frame. */
  let camera = null;
  const use = (name) => {
    const { program, at } = programs[name];
    gl.useProgram(program);
    const low = 0.34 - 0.26 * hour, sun = [Math.sin(sunward) * Math.cos(low), Math.sin(low), Math.cos(sunward) * Math.cos(low)];
    gl.uniform3fv(at.u_sun ?? null, sun);
    gl.uniform3fv(at.u_eye ?? null, eye);
    gl.uniform1f(at.u_hour ?? null, hour);
    gl.uniform1f(at.u_time ?? null, clock);
    gl.uniform1i(at.u_noise ?? null, 1);
    gl.uniformMatrix4fv(at.u_camera ?? null, false, camera);
    return at;
  };
  const drawMany = (mesh, instances, count) => {
    gl.bindVertexArray(mesh.vao);
    gl.bindBuffer(gl.ARRAY_BUFFER, instances);
    for (const place of [4, 5]) {
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, 4, gl.FLOAT, false, 32, 16 * (place - 4));
      gl.vertexAttribDivisor(place, 1);
    }
    Solids.draw(gl, mesh, count);
  };
  const drawShadows = () => {
    gl.enable(gl.BLEND); gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
    gl.enable(gl.POLYGON_OFFSET_FILL); gl.polygonOffset(-1, -2); gl.depthMask(false);
    const at = use("shade");
    gl.bindTexture(gl.TEXTURE_2D, blob);
    gl.uniform1f(at.u_follow, 1); gl.uniform1f(at.u_half, 2.6);
    for (const { name, instances, count } of props) if (["trunk", "stump", "dome"].includes(name)) drawMany(square, instances, count);
    for (const station of stations) {
      const { shadow, half } = species[station.species];
      gl.bindTexture(gl.TEXTURE_2D, shadow);
      gl.uniform1f(at.u_follow, station.has_stump ? 0 : 1); gl.uniform1f(at.u_half, half);
      drawMany(square, station.instances, station.count);
    }
    gl.depthMask(true); gl.disable(gl.POLYGON_OFFSET_FILL); gl.disable(gl.BLEND);
  };
  const render = () => {
    Solids.fit(canvas, share);
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clear(gl.DEPTH_BUFFER_BIT);
    const aspect = canvas.width / canvas.height, tall = FOV * (aspect < 1 ? 1.2 : 1);
    const view = Solids.look(eye, azimuth, elevation);
    camera = Solids.multiply(Solids.perspective(tall, aspect, 0.08, 160), view);
    gl.enable(gl.DEPTH_TEST); gl.depthFunc(gl.LEQUAL);
    gl.activeTexture(gl.TEXTURE1); gl.bindTexture(gl.TEXTURE_2D, noise); gl.activeTexture(gl.TEXTURE0);
    let at = use("fungi");
    for (const station of stations) {
      const { levels } = species[station.species];
      const level = levels[Math.hypot(station.x - eye[0], station.z - eye[2]) < NEAR_LEVEL ? 0 : levels.length - 1];
      gl.uniform1f(at.u_unit, level.unit);
      gl.bindTexture(gl.TEXTURE_2D, level.paint);
      drawMany(level.mesh, station.instances, station.count);
    }
    use("props");
    for (const { mesh, instances, count } of props) drawMany(mesh, instances, count);
    at = use("ground");
    gl.bindTexture(gl.TEXTURE_2D, kinds);
    gl.uniform1f(at.u_reach, land.reach); gl.uniform1f(at.u_half, forest.path.half);
    const [[, wide], [, wider, phase]] = forest.path.waves;
    gl.uniform4f(at.u_path, forest.path.radius, wide, wider, phase);
    Solids.draw(gl, ground);
    at = use("sky");
    gl.uniformMatrix3fv(at.u_basis, false, [view[0], view[4], view[8], view[1], view[5], view[9], view[2], view[6], view[10]]);
    gl.uniform2f(at.u_span, Math.tan(tall / 2) * aspect, Math.tan(tall / 2));
    gl.bindVertexArray(null);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    drawShadows();
    at = use("spores");
    gl.uniform1f(at.u_fine, canvas.height / 400);
    gl.enable(gl.BLEND); gl.blendFunc(gl.ONE, gl.ONE); gl.depthMask(false);
    gl.bindVertexArray(null);
    gl.drawArrays(gl.POINTS, 0, 260);
    gl.depthMask(true); gl.disable(gl.BLEND);
  };

  /* Names. */
  const labels = stations.filter((station) => station.is_first).map((station) => {
    const { name, scientific_name, href } = forest.species[station.species], label = document.createElement("a");
    label.className = "walk-name"; label.href = root + href; label.tabIndex = -1;
    const latin = document.createElement("i");
    latin.lang = "la"; latin.textContent = scientific_name;
    label.append(name, latin);
    document.getElementById("walk-names").append(label);
    return { station, label, href: label.href, name };
  });
  const said = document.getElementById("walk-said");
  let near = null;
  const project = ({ x, top, z }) => {
    const place = [x, top + 0.12, z, 1];
    const [a, b, , w] = [0, 1, 2, 3].map((row) => place.reduce((sum, value, k) => sum + value * camera[k * 4 + row], 0));
    return { w, left: (a / w / 2 + 0.5) * canvas.clientWidth, top: (0.5 - b / w / 2) * canvas.clientHeight };
  };
  const name = () => {
    let nearest = null;
    for (const each of labels) {
      const apart = Math.hypot(each.station.x - eye[0], each.station.z - eye[2]), at = project(each.station);
      const isShown = at.w > 0.1 && apart < NAMED_WITHIN && at.left > 0 && at.left < canvas.clientWidth;
      each.label.style.opacity = isShown ? Math.min(1, (NAMED_WITHIN - apart) / 1.5) : 0;
      each.label.style.visibility = isShown ? "visible" : "hidden";
      each.label.style.transform = `translate(-50%, -100%) translate(${at.left.toFixed(1)}px, ${Math.max(70, at.top).toFixed(1)}px)`;
      if (isShown && apart < OPENED_WITHIN && (!nearest || apart < nearest.apart)) nearest = { each, apart };
    }
    const found = nearest?.each ?? null;
    if (found === near) return;
    near = found;
    for (const each of labels) each.label.classList.toggle("near", each === near);
    if (near) said.textContent = `${near.name} stands before you. Enter opens its page.`;
  };

  const step = (now) => {
    asked = 0;
    if (!isSeen || gl.isContextLost()) return;
    const seconds = Math.min(0.25, (now - last) / 1000);
    last = now;
    frames += 1; slow += seconds;
    if (frames === 40) {
      if (slow / frames > 0.03 && share > 0.6) share *= 0.85;
      frames = slow = 0;
    }
    if (!calm.matches) clock += seconds;
    if (!isHourHeld) { hour = 0.5 - 0.38 * Math.cos((2 * Math.PI * clock) / DAY_S); hourInput.value = hour; }
    move(seconds);
    render();
    name();
    const isMoving = held.size || isLed || stick[0] || stick[1];
    if (!calm.matches || isMoving) ask();
  };
  const ask = () => { if (!asked) { asked = requestAnimationFrame(step); } };

  /* Hands. */
  const leadButton = document.getElementById("walk-lead"), hourInput = document.getElementById("walk-hour");
  const setLed = (value) => { isLed = value; leadButton.setAttribute("aria-pressed", isLed); last = performance.now(); ask(); };
  const keyOf = (event) => (event.key.length === 1 ? event.key.toLowerCase() : event.key);
  canvas.addEventListener("keydown", (event) => {
    const key = keyOf(event);
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (key === "Enter" && near) { location.href = near.href; return; }
    if (key === "l") return setLed(!isLed);
    if (!KEYS[key] && !["ArrowLeft", "ArrowRight", "Shift"].includes(key)) return;
    if (key !== "Shift") event.preventDefault();
    if (!held.size) last = performance.now();
    held.add(key);
    if (isLed && key !== "Shift") setLed(false);
    ask();
  });
  canvas.addEventListener("keyup", (event) => held.delete(keyOf(event)));
  canvas.addEventListener("blur", () => held.clear());
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    drags.set(event.pointerId, { x: event.clientX, y: event.clientY, length: 0 });
    setLed(false);
  });
  canvas.addEventListener("pointermove", (event) => {
    const drag = drags.get(event.pointerId);
    if (!drag) return;
    const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
    azimuth += (dx * FOV * 1.3) / canvas.clientHeight;
    elevation = Math.max(-0.7, Math.min(0.9, elevation + (dy * FOV * 1.3) / canvas.clientHeight));
    Object.assign(drag, { x: event.clientX, y: event.clientY, length: drag.length + Math.abs(dx) + Math.abs(dy) });
    ask();
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => {
    const drag = drags.get(event.pointerId);
    drags.delete(event.pointerId);
    if (end === "pointerup" && drag?.length < 6) open(event);
  });
  /* The page of the group that was clicked on, if it is near enough to bear its name. */
  const open = (event) => {
    const { left, top } = canvas.getBoundingClientRect();
    const hit = labels.map((each) => ({ each, apart: Math.hypot(each.station.x - eye[0], each.station.z - eye[2]), at: project(each.station) }))
      .filter(({ each, apart, at }) => {
        const size = (canvas.clientHeight / (2 * Math.tan(FOV / 2))) / at.w, { reach, height } = each.station;
        const down = event.clientY - top - at.top;
        return at.w > 0.1 && apart < NAMED_WITHIN && Math.abs(event.clientX - left - at.left) < reach * size && down > 0 && down < (height + 0.6) * size;
      }).sort((a, b) => a.apart - b.apart)[0];
    if (hit) location.href = hit.each.href;
  };
  const pad = document.getElementById("walk-stick");
  const push = (event) => {
    const box = pad.getBoundingClientRect(), reach = box.width / 2;
    [stick[0], stick[1]] = [(event.clientX - box.left - reach) / reach, (box.top + reach - event.clientY) / reach].map((value) => Math.max(-1, Math.min(1, value)));
    pad.style.setProperty("--x", stick[0]); pad.style.setProperty("--y", -stick[1]);
    setLed(false);
  };
  pad.addEventListener("pointerdown", (event) => { pad.setPointerCapture(event.pointerId); push(event); });
  pad.addEventListener("pointermove", (event) => { if (pad.hasPointerCapture(event.pointerId)) push(event); });
  for (const end of ["pointerup", "pointercancel"]) pad.addEventListener(end, () => {
    stick.fill(0); pad.style.setProperty("--x", 0); pad.style.setProperty("--y", 0);
  });
  leadButton.addEventListener("click", () => setLed(!isLed));
  hourInput.addEventListener("input", () => { isHourHeld = true; hour = +hourInput.value; ask(); });
  const wholeButton = document.getElementById("walk-whole");
  wholeButton.hidden = !document.fullscreenEnabled;
  wholeButton.addEventListener("click", () => {
    (document.fullscreenElement ? document.exitFullscreen() : stage.requestFullscreen()).then(() => canvas.focus(), () => {});
  });
  new ResizeObserver(ask).observe(canvas);
  new IntersectionObserver(([entry]) => { isSeen = entry.isIntersecting; if (isSeen) ask(); }).observe(canvas);
  canvas.addEventListener("webglcontextlost", () => { stage.hidden = true; });

  go(eye[0], eye[2]);
  hourInput.value = hour;
  canvas.focus({ preventScroll: true });
  last = performance.now();
  render();
  name();
  canvas.dataset.drawn = "true";
  ask();
})();
