"use strict";
/* What stands and lies in the forest beside fungi: trunks, stumps, stones, leaves, grass, all made here by a seed.

   Belongs here: shapes, noise, and where things lie. The look of their surfaces is in `forest.js`. */
const Props = (() => {
  const KINDS = { trunk: 0, stump: 1, dome: 2, leaf: 3, grass: 4 };
  const STUMP_HEIGHT = 0.26, MARGIN = 30;

  /* Numbers from 0 to 1, the same for the same seed. */
  const dice = (seed) => () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };

  /* The lie of the land, as in forest.js. */
  const lift = (x, z) => 0.26 * Math.sin(0.31 * x + 1) * Math.cos(0.27 * z) + 0.1 * Math.sin(0.7 * x + 0.5 * z);

  /* Bytes of a square of noise that repeats: four channels of five octaves each. */
  const makeNoise = (side = 256) => {
    const roll = dice(11), bytes = new Uint8Array(4 * side * side);
    for (let channel = 0; channel < 4; channel++) {
      const sums = new Float32Array(side * side);
      for (let octave = 0, cells = 8, share = 0.5; octave < 5; octave++, cells *= 2, share *= 0.58) {
        const grid = Float32Array.from({ length: cells * cells }, roll);
        for (let y = 0; y < side; y++) for (let x = 0; x < side; x++) {
          const [u, v] = [(x * cells) / side, (y * cells) / side], [i, j] = [Math.floor(u), Math.floor(v)];
          const [s, t] = [u - i, v - j].map((value) => value * value * (3 - 2 * value));
          const at = (a, b) => grid[((j + b) % cells) * cells + ((i + a) % cells)];
          sums[y * side + x] += share * (at(0, 0) * (1 - s) * (1 - t) + at(1, 0) * s * (1 - t) + at(0, 1) * (1 - s) * t + at(1, 1) * s * t);
        }
      }
      let [low, high] = [Infinity, -Infinity];
      for (const value of sums) { low = Math.min(low, value); high = Math.max(high, value); }
      sums.forEach((value, i) => { bytes[4 * i + channel] = 255 * (value - low) / (high - low); });
    }
    return bytes;
  };

  /* A sheet of points bent into a shape: `place` gives x, y, z of u, v from 0 to 1; normals by differences. */
  const bend = (columns, rows, place, uv = (u, v) => [u, v]) => {
    const places = [], normals = [], uvs = [], indices = [], tiny = 1e-3;
    for (let j = 0; j <= rows; j++) for (let i = 0; i <= columns; i++) {
      const [u, v] = [i / columns, j / rows], p = place(u, v);
      const [a, b] = [place(u + tiny, v), place(u, v + (v > 0.5 ? -tiny : tiny))].map((q) => q.map((value, k) => value - p[k]));
      const sign = v > 0.5 ? -1 : 1;
      const n = [b[1] * a[2] - b[2] * a[1], b[2] * a[0] - b[0] * a[2], b[0] * a[1] - b[1] * a[0]].map((value) => sign * value);
      const length = Math.hypot(...n) || 1;
      places.push(...p); normals.push(...(length > 1e-12 ? n.map((value) => value / length) : [0, 1, 0])); uvs.push(...uv(u, v));
      if (i < columns && j < rows) {
        const first = j * (columns + 1) + i, below = first + columns + 1;
        indices.push(first, below, first + 1, first + 1, below, below + 1);
      }
    }
    return { POSITION: new Float32Array(places), NORMAL: new Float32Array(normals), TEXCOORD_0: new Float32Array(uvs), INDICES: new Uint16Array(indices) };
  };

  const ring = (u, radius) => [radius * Math.sin(2 * Math.PI * u), radius * Math.cos(2 * Math.PI * u)];
  const shapes = () => ({
    trunk: bend(18, 16, (u, v) => {
      const roots = Math.exp(-v * 22) * (0.55 + 0.5 * Math.sin(2 * Math.PI * u * 5 + 1) * Math.exp(-v * 14));
      const [x, z] = ring(u, (1 + roots + 0.05 * Math.sin(2 * Math.PI * u * 3)) * (1 - 0.45 * v));
      return [x + 0.5 * v * v, 22 * v - 0.3, z + 0.3 * Math.sin(3 * v)];
    }),
    stump: bend(24, 10, (u, v) => {
      const side = Math.min(1, v / 0.6), top = Math.max(0, (v - 0.6) / 0.4);
      const knots = 1 + 0.05 * Math.sin(2 * Math.PI * u * 3 + 1) + 0.03 * Math.sin(2 * Math.PI * u * 7);
      const [x, z] = ring(u, knots * (1.14 - 0.14 * Math.sqrt(side)) * (1 - top) + 1e-4);
      return [x, -1.4 + 2.4 * side - 0.02 * (1 - top), z];
    }),
    dome: bend(12, 6, (u, v) => {
      const [x, z] = ring(u, Math.cos(v * Math.PI / 2) * (1 + 0.12 * Math.sin(2 * Math.PI * u * 2 + 1)) + 1e-4);
      return [x, -0.25 + 1.05 * Math.sin(v * Math.PI / 2), z];
    }),
    leaf: bend(2, 6, (u, v) => [(2 * u - 1) * 0.55 * Math.pow(1.001 - (2 * v - 1) ** 2, 0.8), 0.22 * Math.pow(Math.abs(2 * u - 1), 1.5) + 0.2 * v * v, 2 * v - 1], (u, v) => [2 * u - 1, 2 * v - 1]),
    grass: bend(1, 4, (u, v) => [(2 * u - 1) * 0.03 * (0.4 + 1.5 * v) * (1 - v * v * 0.98), v - 0.3 * v * v * v - 0.08, 0.42 * v * v], (u, v) => [u, v]),
  });

  /* A square sheet of ground. */
  const sheet = (reach, cells = 110) => bend(cells, cells, (u, v) => [(2 * u - 1) * reach, 0, (2 * v - 1) * reach]);

  /* Where the path is and what grows where, for one forest. */
  const survey = ({ path, stations }) => {
    const reach = path.radius * 1.2 + MARGIN;
    const curve = (azimuth) => path.radius * (1 + path.waves.reduce((sum, [times, share, phase]) => sum + share * Math.sin(times * azimuth + phase), 0));
    const offPath = (x, z) => Math.abs(Math.hypot(x, z) - curve(Math.atan2(x, z)));
    const CHANNELS = { "in moss": 0, "in a field": 1, "in leaf litter": 2, "on a log": 2, "on a tree trunk": 0, "in sand": 3 };
    const kindsAt = (x, z) => {
      const kinds = [0, 0, 0, 0];
      for (const station of stations) {
        const near = Math.exp(-((x - station.x) ** 2 + (z - station.z) ** 2) / 9);
        kinds[CHANNELS[station.habitat]] = Math.max(kinds[CHANNELS[station.habitat]], near);
      }
      return kinds;
    };
    const isFree = (x, z, room) => stations.every((one) => Math.hypot(x - one.x, z - one.z) > one.reach + room);
    return { reach, curve, offPath, kindsAt, isFree };
  };

  /* The kinds of ground as bytes: moss, meadow, leaf litter, sand. */
  const chart = ({ reach, kindsAt }, side = 128) => {
    const bytes = new Uint8Array(4 * side * side);
    for (let j = 0; j < side; j++) for (let i = 0; i < side; i++) {
      const [x, z] = [i, j].map((cell) => ((cell + 0.5) / side * 2 - 1) * reach);
      bytes.set(kindsAt(x, z).map((value) => 255 * value), 4 * (j * side + i));
    }
    return bytes;
  };

  /* All props, as rows of eight numbers by shape (see PROPS in forest.js), and the trunks that nobody walks through. */
  const scatter = (land, forest) => {
    const roll = dice(5), rows = { trunk: [], stump: [], dome: [], leaf: [], grass: [] }, trunks = [];
    const put = (shape, x, z, scale, stretch, tint, y = lift(x, z)) => rows[shape].push(x, y, z, scale, roll() * 6.283, stretch, tint, KINDS[shape]);
    const anywhere = (most) => { const [away, turn] = [most * Math.sqrt(roll()), roll() * 6.283]; return [away * Math.sin(turn), away * Math.cos(turn)]; };
    for (const station of forest.stations) {
      if (!station.has_stump) continue;
      rows.stump.push(station.x, lift(station.x, station.z), station.z, station.reach + 0.12, 0, STUMP_HEIGHT / (station.reach + 0.12), roll(), KINDS.stump);
    }
    for (let tries = 0; tries < 900 && trunks.length < 110; tries++) {
      const [x, z] = anywhere(land.reach - 4), radius = 0.5 + 0.9 * roll() * roll();
      if (land.offPath(x, z) < forest.path.half + 2.2 + 1.4 * radius || !land.isFree(x, z, 0.9 + 1.7 * radius)) continue;
      if (trunks.some((one) => Math.hypot(one.x - x, one.z - z) < 3.4)) continue;
      trunks.push({ x, z, radius: radius * 1.25 });
      put("trunk", x, z, radius, (0.9 + 0.5 * roll()) / radius, roll());
    }
    const near = forest.path.radius * 1.2 + 9;
    for (let i = 0; i < 260; i++) {
      const [x, z] = anywhere(near), [moss] = land.kindsAt(x, z), size = 0.08 + 0.3 * roll() * roll() * (1 + moss);
      if (land.offPath(x, z) > forest.path.half * 0.8 + size && land.isFree(x, z, size)) put("dome", x, z, size, 0.45 + 0.4 * roll(), roll() < 0.6 ? 0.25 : 0.95);
    }
    for (let i = 0; i < 5200; i++) {
      const [x, z] = anywhere(near), [, meadow, litter, sand] = land.kindsAt(x, z);
      if (roll() > (0.3 + litter) * (1 - meadow) * (1 - 0.8 * sand) * (land.offPath(x, z) < forest.path.half * 0.7 ? 0.25 : 1)) continue;
      put("leaf", x, z, 0.09 + 0.1 * roll(), 1, roll(), lift(x, z) + 0.015);
    }
    for (let i = 0; i < 2600; i++) {
      const [x, z] = anywhere(near), [moss, meadow, litter, sand] = land.kindsAt(x, z), size = 0.35 + 0.5 * roll();
      if (land.offPath(x, z) < forest.path.half * 0.95 || roll() > (0.16 + meadow) * (1 - sand) * (1 - 0.7 * litter) * (1 - 0.6 * moss)) continue;
      const tall = land.isFree(x, z, 1.1) ? 1 : 0.4, blades = 5 + Math.floor(7 * roll());
      for (let k = 0; k < blades; k++) put("grass", x + 0.22 * (roll() - 0.5), z + 0.22 * (roll() - 0.5), size * tall * (0.6 + 0.5 * roll()), 1, roll());
    }
    return { rows, trunks };
  };

  return { STUMP_HEIGHT, dice, lift, makeNoise, shapes, sheet, survey, chart, scatter };
})();
