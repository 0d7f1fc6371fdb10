"use strict";
/* Meshes on a canvas: GLB files of this project's kind opened from base64, and the little of WebGL 2 that draws them.

   Belongs here: what the object of a species' page and the forest walk share. A classic script, for a page opened from
   the file system may load no module. Matrices are column-major, y is up, a camera looks along its -z. */
const Solids = (() => {
  const ARRAYS = { 5123: Uint16Array, 5125: Uint32Array, 5126: Float32Array };
  const WIDTHS = { SCALAR: 1, VEC2: 2, VEC3: 3, VEC4: 4 };
  const PLACES = { POSITION: 0, NORMAL: 1, TEXCOORD_0: 2, COLOR_0: 3 };

  /* The arrays of a GLB by attribute, and its texture as a JPEG, or none. */
  const openGlb = (text) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const numbers = new DataView(bytes.buffer);
    if (bytes.length < 28 || numbers.getUint32(0, true) !== 0x46546c67) throw new Error("this is no GLB file");
    const length = numbers.getUint32(12, true);
    const glb = JSON.parse(new TextDecoder().decode(bytes.subarray(20, 20 + length)));
    const begin = 28 + length;
    const read = (index) => {
      const { bufferView, componentType, count, type } = glb.accessors[index];
      return new ARRAYS[componentType](bytes.buffer, begin + glb.bufferViews[bufferView].byteOffset, count * WIDTHS[type]);
    };
    const { attributes, indices } = glb.meshes[0].primitives[0];
    const mesh = { INDICES: read(indices) };
    for (const name of Object.keys(attributes)) mesh[name] = read(attributes[name]);
    if (!glb.images) return { mesh, picture: null };
    const { byteOffset, byteLength } = glb.bufferViews[glb.images[0].bufferView];
    const picture = new Blob([bytes.subarray(begin + byteOffset, begin + byteOffset + byteLength)], { type: "image/jpeg" });
    return { mesh, picture };
  };

  /* Corners of the box around a mesh. */
  const boxOf = ({ POSITION }) => {
    const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
    POSITION.forEach((value, i) => {
      low[i % 3] = Math.min(low[i % 3], value);
      high[i % 3] = Math.max(high[i % 3], value);
    });
    return { low, high };
  };

  /* A program; its uniforms are in `at`, by name. */
  const build = (gl, vertex, fragment) => {
    const program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, "#version 300 es\nprecision highp float;\nprecision highp int;\n" + text);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost())
        throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost())
      throw new Error(gl.getProgramInfoLog(program));
    const at = {};
    for (let i = gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS) - 1; i >= 0; i--) {
      const { name } = gl.getActiveUniform(program, i);
      at[name] = gl.getUniformLocation(program, name);
    }
    return { program, at };
  };

  /* A mesh of named arrays on the GPU. Where it has no colours they are white. */
  const upload = (gl, mesh) => {
    const vao = gl.createVertexArray();
    gl.bindVertexArray(vao);
    for (const [name, place] of Object.entries(PLACES)) {
      const values = mesh[name];
      if (!values) continue;
      gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
      const isShort = values instanceof Uint16Array;
      const width = values.length / (mesh.POSITION.length / 3);
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, width, isShort ? gl.UNSIGNED_SHORT : gl.FLOAT, isShort, 0, 0);
    }
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, mesh.INDICES, gl.STATIC_DRAW);
    gl.bindVertexArray(null);
    const kind = mesh.INDICES instanceof Uint16Array ? gl.UNSIGNED_SHORT : gl.UNSIGNED_INT;
    return { vao, count: mesh.INDICES.length, kind, isWhite: !mesh.COLOR_0 };
  };

  const draw = (gl, { vao, count, kind, isWhite }, instances = 0) => {
    gl.bindVertexArray(vao);
    if (isWhite) gl.vertexAttrib4f(PLACES.COLOR_0, 1, 1, 1, 1);
    if (instances) gl.drawElementsInstanced(gl.TRIANGLES, count, kind, 0, instances);
    else gl.drawElements(gl.TRIANGLES, count, kind, 0);
  };

  /* A texture of a picture in sRGB, or a white one of none. */
  const paint = async (gl, picture) => {
    const texture = gl.createTexture();
    const image = picture
      ? await createImageBitmap(picture, { premultiplyAlpha: "none", colorSpaceConversion: "none" })
      : new ImageData(new Uint8ClampedArray([255, 255, 255, 255]), 1, 1);
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.SRGB8_ALPHA8, gl.RGBA, gl.UNSIGNED_BYTE, image);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
    gl.generateMipmap(gl.TEXTURE_2D);
    return texture;
  };

  /* A texture of bytes, one or four to a pixel. */
  const paintBytes = (gl, bytes, side, { isRepeated = false } = {}) => {
    const texture = gl.createTexture(), isGrey = bytes.length === side * side;
    const wrap = isRepeated ? gl.REPEAT : gl.CLAMP_TO_EDGE;
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texImage2D(gl.TEXTURE_2D, 0, isGrey ? gl.R8 : gl.RGBA8, side, side, 0, isGrey ? gl.RED : gl.RGBA, gl.UNSIGNED_BYTE, bytes);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, wrap);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, wrap);
    gl.generateMipmap(gl.TEXTURE_2D);
    return texture;
  };

  /* How dark a mesh makes the ground that it stands on: bytes of a square whose middle is the origin, and its half side. */
  const footprint = (mesh, side = 64) => {
    const { low, high } = boxOf(mesh), height = high[1] || 1;
    const half = 1.6 * Math.max(...[low, high].flatMap((corner) => [Math.abs(corner[0]), Math.abs(corner[2])]));
    const near = new Float32Array(side * side), all = new Float32Array(side * side);
    for (let i = 0; i < mesh.INDICES.length; i += 3) {
      const place = [0, 1, 2].map((axis) => [0, 1, 2].reduce((sum, k) => sum + mesh.POSITION[3 * mesh.INDICES[i + k] + axis] / 3, 0));
      const cell = [0, 2].map((axis) => Math.floor((place[axis] / half + 1) / 2 * side));
      all[cell[1] * side + cell[0]] = 1;
      if (place[1] < 0.1 * height) near[cell[1] * side + cell[0]] = 1;
    }
    for (let round = 0; round < 3; round++) { soften(near, side, 2); soften(all, side, 5); }
    return { bytes: Uint8Array.from(near, (value, i) => 255 * Math.min(1, 0.9 * value + 0.55 * all[i])), half, side };
  };

  /* A running mean along both axes of a square, in place. */
  const soften = (values, side, reach) => {
    const mean = (first, step) => {
      const line = Float32Array.from({ length: side }, (_, i) => values[first + i * step]);
      for (let i = 0; i < side; i++) {
        let sum = 0;
        for (let k = -reach; k <= reach; k++) sum += line[Math.max(0, Math.min(side - 1, i + k))];
        values[first + i * step] = sum / (2 * reach + 1);
      }
    };
    for (let i = 0; i < side; i++) mean(i * side, 1);
    for (let i = 0; i < side; i++) mean(i, side);
  };

  const perspective = (fov, aspect, near, far) => {
    const f = 1 / Math.tan(fov / 2), depth = near - far;
    return new Float32Array([f / aspect, 0, 0, 0, 0, f, 0, 0, 0, 0, (near + far) / depth, -1, 0, 0, 2 * near * far / depth, 0]);
  };

  /* The view from an eye that looks along azimuth and elevation, in radians: azimuth 0 looks to -z, 90 degrees to -x. */
  const look = (eye, azimuth, elevation) => {
    const [s, c, t, d] = [Math.sin(azimuth), Math.cos(azimuth), Math.sin(elevation), Math.cos(elevation)];
    const right = [c, 0, -s], up = [s * t, d, c * t], back = [s * d, -t, c * d];
    const along = (axis) => -(axis[0] * eye[0] + axis[1] * eye[1] + axis[2] * eye[2]);
    return new Float32Array([right[0], up[0], back[0], 0, right[1], up[1], back[1], 0, right[2], up[2], back[2], 0,
      along(right), along(up), along(back), 1]);
  };

  const multiply = (a, b) => Float32Array.from({ length: 16 }, (_, i) =>
    [0, 1, 2, 3].reduce((sum, k) => sum + a[k * 4 + i % 4] * b[(i >> 2) * 4 + k], 0));

  /* Make the canvas as fine as it is shown; whether it changed. */
  const fit = (canvas, share) => {
    const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((px) => Math.max(1, Math.round(px * share)));
    if (canvas.width === width && canvas.height === height) return false;
    [canvas.width, canvas.height] = [width, height];
    return true;
  };

  return { openGlb, boxOf, build, upload, draw, paint, paintBytes, footprint, perspective, look, multiply, fit };
})();
