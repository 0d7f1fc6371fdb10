"use strict";
/* The forest's programs: sky, mist, light, ground, shadows, fungi, props and spores, for `walking.js`.

   The hour goes from the end of an afternoon (0) to the begin of a night (1); by night the walker's lantern shines.
   Colours are linear until `finish`. Lengths are heights of a middling fungus. */
const Forest = (() => {
  /* Sky, mist and light, alike for all that is drawn. */
  const AIR = `
    uniform vec3 u_sun, u_eye; uniform float u_hour, u_time; uniform sampler2D u_noise;
    vec3 sky(vec3 d) {
      float up = clamp(d.y, 0., 1.), glow = max(dot(normalize(vec3(d.x, max(d.y, 0.) * .7 + .08, d.z)), u_sun), 0.);
      vec3 low = mix(vec3(.46, .41, .26), vec3(.052, .070, .108), u_hour);
      vec3 high = mix(vec3(.13, .20, .19), vec3(.012, .022, .05), u_hour);
      vec3 warm = mix(vec3(.92, .54, .19), vec3(.22, .09, .09), u_hour);
      return mix(low, high, pow(up, .5)) + warm * (.55 * pow(glow, 5.) + .7 * pow(glow, 40.));
    }
    vec3 veil(vec3 seen, vec3 place) {
      vec3 along = place - u_eye;
      float far = length(along), lowness = exp(-max(place.y, 0.) * .22);
      float thick = 1. - exp(-pow(far * (.026 + .03 * lowness), 1.45));
      vec3 d = along / far;
      return mix(seen, sky(normalize(vec3(d.x, abs(d.y) * .35 + .02, d.z))), thick);
    }
    vec3 lit(vec3 albedo, vec3 n, vec3 place, float through) {
      vec3 to_eye = normalize(u_eye - place);
      float gap = smoothstep(.44, .60, texture(u_noise, (place.xz + place.y * .6) * .027 + u_time * .0012).r);
      float wrap = max((dot(n, u_sun) + .3) / 1.3, 0.), back = pow(max(dot(-to_eye, u_sun), 0.), 4.);
      vec3 sun = mix(vec3(3.1, 1.9, .88), vec3(.16, .13, .18), u_hour) * (.14 + 1.1 * gap);
      vec3 above = mix(vec3(.34, .40, .35), vec3(.10, .14, .22), u_hour);
      vec3 below = mix(vec3(.13, .11, .06), vec3(.02, .02, .03), u_hour);
      vec3 light = wrap * wrap * sun + mix(below, above, n.y * .5 + .5) + through * back * sun * .9;
      float off = length(u_eye - place);
      light += vec3(1.5, .95, .48) * (.15 + .85 * u_hour) * max(dot(n, to_eye) * .8 + .2, 0.) / (1. + .55 * off * off);
      return albedo * light;
    }
    vec3 finish(vec3 c) {
      c *= 1.05;
      c = c * (2.51 * c + .03) / (c * (2.43 * c + .59) + .14);
      float grain = fract(sin(dot(gl_FragCoord.xy, vec2(12.9898, 78.233))) * 43758.5453) - .5;
      return pow(clamp(c, 0., 1.), vec3(1. / 2.2)) + grain / 160.;
    }`;
  /* The lie of the land; \`lift\` in props.js is the same. */
  const LAND = `
    float lift(vec2 p) { return .26 * sin(.31 * p.x + 1.) * cos(.27 * p.y) + .1 * sin(.7 * p.x + .5 * p.y); }`;

  const SKY = [`
    out vec2 v_screen;
    void main() { v_screen = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4. - 1.; gl_Position = vec4(v_screen, .9999, 1.); }`, `
    in vec2 v_screen; uniform mat3 u_basis; uniform vec2 u_span; out vec4 colour;
    void main() {
      vec3 d = normalize(u_basis * vec3(v_screen * u_span, -1.));
      vec3 seen = sky(d);
      if (d.y > .04) {
        vec2 over = d.xz / (d.y + .28);
        float leaves = texture(u_noise, over * .11).r * .6 + texture(u_noise, over * .37 + .3).g * .4;
        float cover = smoothstep(.40, .60, leaves + .16 * smoothstep(.1, .8, d.y) - .04) * smoothstep(.04, .34, d.y);
        seen = mix(seen, seen * vec3(.20, .26, .15), cover * .86);
        float star = smoothstep(.90, .96, texture(u_noise, over * 2.3).g) * u_hour * u_hour * (1. - cover);
        seen += star * .3;
      }
      colour = vec4(finish(seen), 1.);
    }`];

  const GROUND = [`
    layout(location = 0) in vec3 a_place; uniform mat4 u_camera; out vec3 v_place;
    void main() { v_place = vec3(a_place.x, lift(a_place.xz), a_place.z); gl_Position = u_camera * vec4(v_place, 1.); }`, `
    in vec3 v_place; out vec4 colour;
    uniform sampler2D u_kinds; uniform float u_reach, u_half; uniform vec4 u_path;
    float off_path(vec2 p) {
      float a = atan(p.x, p.y), r = u_path.x * (1. + u_path.y * sin(3. * a) + u_path.z * sin(5. * a + u_path.w));
      return abs(length(p) - r);
    }
    void main() {
      vec2 p = v_place.xz;
      vec3 coarse = texture(u_noise, p * .043).rgb, mid = texture(u_noise, p * .17).rgb, fine = texture(u_noise, p * .71).rgb;
      fine = mix(fine, texture(u_noise, p * 2.9 + fine.rg * .05).rgb, .5 / (1. + .12 * dot(v_place - u_eye, v_place - u_eye)));
      vec4 kinds = texture(u_kinds, p / u_reach * .5 + .5);
      float litter = smoothstep(.35, .65, fine.r * .6 + mid.g * .5);
      vec3 earth = mix(vec3(.045, .030, .018), vec3(.115, .078, .042), fine.g);
      vec3 leaves = mix(vec3(.085, .045, .018), vec3(.24, .125, .038), litter) * (.7 + .6 * mid.r);
      vec3 moss = mix(vec3(.022, .05, .012), vec3(.12, .19, .035), smoothstep(.25, .75, fine.r * .55 + mid.r * .5));
      vec3 meadow = mix(vec3(.04, .06, .014), vec3(.15, .17, .045), fine.g * .6 + coarse.r * .4);
      vec3 sand = mix(vec3(.25, .19, .115), vec3(.38, .31, .20), fine.r * .5 + fine.g * .5);
      vec4 k = smoothstep(.12, .6, kinds + .5 * (vec4(coarse.r, coarse.g, mid.g, mid.r) - .5));
      vec3 albedo = mix(mix(earth, leaves, .75), moss, smoothstep(.5, .68, coarse.g * .7 + mid.r * .35) * .8);
      albedo = mix(albedo, leaves, k.b); albedo = mix(albedo, meadow, k.g);
      albedo = mix(albedo, moss, k.r); albedo = mix(albedo, sand, k.a);
      float trodden = 1. - smoothstep(u_half * .35, u_half * 1.15, off_path(p) + .5 * (mid.r - .5));
      albedo = mix(albedo, mix(vec3(.14, .098, .058), vec3(.24, .175, .105), fine.r) * (.75 + .5 * mid.g), trodden * .9);
      float bump = 3.2 / (1. + .25 * length(u_eye - v_place));
      vec2 tilt = vec2(texture(u_noise, p * .71 + vec2(.004, 0.)).r, texture(u_noise, p * .71 + vec2(0., .004)).r) - texture(u_noise, p * .71).r;
      vec3 n = normalize(vec3(-tilt.x * bump, .09 + .05 * length(u_eye - v_place), -tilt.y * bump));
      colour = vec4(finish(veil(lit(albedo, n, v_place, 0.), v_place)), 1.);
    }`];

  /* Shadows on the ground: squares, each at (x, y, z, half side) and turned. */
  const SHADE = [`
    layout(location = 0) in vec3 a_place; layout(location = 2) in vec2 a_uv;
    layout(location = 4) in vec4 i_place; layout(location = 5) in vec4 i_habit;
    uniform mat4 u_camera; uniform float u_half, u_follow; out vec2 v_uv; out vec3 v_place;
    void main() {
      float s = sin(i_habit.x), c = cos(i_habit.x), half_side = i_place.w * u_half;
      vec2 flat_place = vec2(a_place.x * c + a_place.z * s, a_place.z * c - a_place.x * s) * half_side + i_place.xz;
      v_place = vec3(flat_place.x, i_place.y + u_follow * (lift(flat_place) - lift(i_place.xz)) + .012, flat_place.y);
      v_uv = a_uv; gl_Position = u_camera * vec4(v_place, 1.);
    }`, `
    in vec2 v_uv; in vec3 v_place; uniform sampler2D u_paint; out vec4 colour;
    void main() {
      float far = length(v_place - u_eye), rim = 1. - smoothstep(.7, 1., length(v_uv * 2. - 1.));
      colour = vec4(0., 0., 0., .92 * texture(u_paint, v_uv).r * rim * exp(-far * .07));
    }`];

  /* Fungi: the form one high, changed as `forms.groups` says, at i_place = (x, y, z, scale). */
  const FUNGI = [`
    layout(location = 0) in vec3 a_place; layout(location = 1) in vec3 a_normal;
    layout(location = 2) in vec2 a_uv; layout(location = 3) in vec4 a_colour;
    layout(location = 4) in vec4 i_place; layout(location = 5) in vec4 i_habit;
    uniform mat4 u_camera; uniform float u_unit;
    out vec3 v_place, v_normal, v_colour; out vec2 v_uv; out float v_height;
    void main() {
      vec3 p = a_place * u_unit, n = a_normal;
      float y = clamp(p.y, 0., 1.), spread = i_habit.y - 1., wide = 1. + spread * y * y * (3. - 2. * y);
      n = vec3(n.x / wide, n.y - spread * 6. * y * (1. - y) * dot(p.xz, n.xz) / wide, n.z / wide);
      p.xz *= wide;
      float s = sin(i_habit.x), c = cos(i_habit.x);
      p.xz = vec2(p.x * c + p.z * s, p.z * c - p.x * s); n.xz = vec2(n.x * c + n.z * s, n.z * c - n.x * s);
      vec2 whither = vec2(sin(i_habit.w), cos(i_habit.w));
      p.xz += i_habit.z * (2. * y - y * y) * whither;
      n.y -= i_habit.z * (2. - 2. * y) * dot(whither, n.xz);
      v_height = p.y * i_place.w;
      v_place = p * i_place.w + i_place.xyz; v_normal = n; v_uv = a_uv; v_colour = a_colour.rgb;
      gl_Position = u_camera * vec4(v_place, 1.);
    }`, `
    in vec3 v_place, v_normal, v_colour; in vec2 v_uv; in float v_height; uniform sampler2D u_paint; out vec4 colour;
    void main() {
      vec3 albedo = texture(u_paint, v_uv).rgb * v_colour, n = normalize(v_normal);
      float foot = .45 + .55 * smoothstep(0., .22, v_height), edge = pow(1. - abs(dot(n, normalize(u_eye - v_place))), 3.);
      vec3 seen = lit(albedo, n, v_place, .75) * foot + edge * sky(reflect(normalize(v_place - u_eye), n)) * .22;
      colour = vec4(finish(veil(seen, v_place)), 1.);
    }`];

  /* Props: i_place = (x, y, z, scale), i_habit = (turn, stretch, tint, kind); kinds are named in props.js. */
  const PROPS = [`
    layout(location = 0) in vec3 a_place; layout(location = 1) in vec3 a_normal; layout(location = 2) in vec2 a_uv;
    layout(location = 4) in vec4 i_place; layout(location = 5) in vec4 i_habit;
    uniform mat4 u_camera; out vec3 v_place, v_normal; out vec2 v_uv, v_bark, v_cut; flat out float v_tint, v_kind;
    void main() {
      float s = sin(i_habit.x), c = cos(i_habit.x);
      vec3 p = a_place * i_place.w; p.y *= i_habit.y;
      if (i_habit.w == 4.) p.xz += a_uv.y * a_uv.y * .12 * vec2(sin(u_time * 1.1 + i_place.x * 2.), cos(u_time * .9 + i_place.z * 2.));
      p.xz = vec2(p.x * c + p.z * s, p.z * c - p.x * s);
      vec3 n = vec3(a_normal.x * c + a_normal.z * s, a_normal.y, a_normal.z * c - a_normal.x * s);
      v_place = p + i_place.xyz; v_normal = n; v_uv = a_uv; v_cut = a_place.xz; v_tint = i_habit.z; v_kind = i_habit.w;
      v_bark = vec2(a_uv.x * 2., p.y * .16) + i_habit.z * 7.;
      gl_Position = u_camera * vec4(v_place, 1.);
    }`, `
    in vec3 v_place, v_normal; in vec2 v_uv, v_bark, v_cut; flat in float v_tint, v_kind; out vec4 colour;
    void main() {
      vec3 n = normalize(gl_FrontFacing ? v_normal : -v_normal), albedo; float through = 0., upward = n.y;
      if (v_kind < 1.5) {
        float ridge = texture(u_noise, v_bark * vec2(1., .3)).r, crack = texture(u_noise, v_bark * vec2(3., .6)).g;
        albedo = mix(vec3(.022, .017, .013), vec3(.13, .10, .075), smoothstep(.3, .75, ridge * .6 + crack * .5));
        float green = smoothstep(.42, .62, texture(u_noise, v_bark * .9).g + .34 * exp(-v_place.y * .55) - .1);
        albedo = mix(albedo, vec3(.05, .085, .02) * (.5 + crack), green * .75);
        n = normalize(n + .5 * vec3(ridge - .5, crack - .5, ridge - crack));
        if (v_kind > .5 && upward > .8) {
          float wood = texture(u_noise, v_cut * .22 + v_tint).r, grain = texture(u_noise, v_cut * 1.1).g;
          float ring = sin(length(v_cut) * 60. + 7. * wood);
          albedo = mix(vec3(.17, .115, .062), vec3(.26, .185, .105), ring * .5 + .5) * (.5 + .8 * grain);
          albedo = mix(albedo, mix(vec3(.03, .06, .012), vec3(.13, .19, .035), grain), smoothstep(.5, .62, wood + .5 * (length(v_cut) - .62)));
          n = normalize(vec3(grain - .5, 1.6, wood - .5));
        }
      } else if (v_kind < 2.5) {
        float wool = texture(u_noise, v_place.xz * .9 + v_place.y * .5).r;
        vec3 stone = mix(vec3(.07, .068, .062), vec3(.21, .20, .18), wool), moss = mix(vec3(.02, .05, .01), vec3(.13, .20, .035), wool);
        albedo = mix(stone, moss, smoothstep(v_tint - .2, v_tint + .2, n.y * .5 + .5));
      } else if (v_kind < 3.5) {
        float vein = smoothstep(.09, .0, abs(v_uv.x)) * .35;
        albedo = mix(vec3(.10, .045, .015), mix(vec3(.36, .20, .045), vec3(.30, .10, .035), fract(v_tint * 7.)), .25 + .75 * fract(v_tint * 3.)) * (1. - vein);
        through = .6;
      } else {
        albedo = mix(vec3(.018, .032, .008), mix(vec3(.13, .16, .03), vec3(.21, .17, .06), v_tint), v_uv.y);
        n = normalize(mix(n, vec3(0., 1., 0.), .6)); through = v_uv.y;
      }
      colour = vec4(finish(veil(lit(albedo, n, v_place, through), v_place)), 1.);
    }`];

  /* Spores and fireflies in a box that goes with the eye. */
  const SPORES = [`
    uniform mat4 u_camera; uniform float u_fine; out float v_glow; out vec3 v_warm;
    float hash(float n) { return fract(sin(n * 91.7) * 43758.5453); }
    void main() {
      float i = float(gl_VertexID); vec3 box = vec3(16., 5., 16.);
      vec3 seed = vec3(hash(i), hash(i + .37), hash(i + .71)) * box;
      vec3 drift = u_time * vec3(.11, .035, .07) + .5 * vec3(sin(u_time * .4 + i), sin(u_time * .6 + 2. * i) * .4, cos(u_time * .35 + i));
      vec3 p = mod(seed + drift - u_eye * vec3(1., 0., 1.), box) - vec3(box.x / 2., 0., box.z / 2.) + u_eye * vec3(1., 0., 1.);
      float is_fly = step(.72, hash(i + .13)) * u_hour, far = length(p - u_eye);
      v_glow = (is_fly > 0. ? pow(.5 + .5 * sin(u_time * (.6 + hash(i)) + i * 9.), 4.) * is_fly : .16) * smoothstep(9., 2., far) * smoothstep(.2, 1.2, far);
      v_warm = mix(vec3(1., .9, .7), vec3(.75, 1., .35), step(.01, is_fly));
      gl_Position = u_camera * vec4(p, 1.);
      gl_PointSize = u_fine * mix(3., 9., step(.01, is_fly)) / max(far * .4, .6);
    }`, `
    in float v_glow; in vec3 v_warm; out vec4 colour;
    void main() { float off = length(gl_PointCoord * 2. - 1.); colour = vec4(v_warm * v_glow * pow(max(1. - off, 0.), 2.), 1.); }`];

  /* All programs. */
  const build = (gl) => {
    const programs = {};
    const texts = { sky: SKY, ground: GROUND, shade: SHADE, fungi: FUNGI, props: PROPS, spores: SPORES };
    for (const [name, [vertex, fragment]] of Object.entries(texts))
      programs[name] = Solids.build(gl, AIR.split("vec3 finish")[0] + LAND + vertex, AIR + fragment);
    return programs;
  };

  return { build };
})();
