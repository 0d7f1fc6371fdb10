"""A browser plays the films: headless Chromium, where it is installed, looks at what it shows."""

import json
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from fungal_assets.forms.layouts import lay_on_black, lay_out_pyramid, screen_px
from fungal_assets.forms.shooting import turn
from fungal_assets.forms.video import write_mp4
from fungal_assets.forms.volume import Volume
from fungal_assets_tests.forms.shapes import axes, toadstool

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for name in BROWSERS if (path := shutil.which(name))), None)
PATIENCE_S = 120
PAGE = """<!doctype html><title>films</title><script>
const look = (video) => {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth; canvas.height = video.videoHeight;
  const pen = canvas.getContext("2d");
  pen.drawImage(video, 0, 0);
  return pen.getImageData(0, 0, canvas.width, canvas.height).data;
};
const play = (name) => new Promise((done) => {
  const video = document.createElement("video"), told = {};
  video.muted = true; video.src = name;
  video.onerror = () => done({error: video.error.message});
  video.onloadeddata = () => { told.first = look(video); video.play(); };
  video.onended = () => {
    const last = look(video), width = video.videoWidth, rim = [];
    for (let i = 0; i < width; i++) rim.push(last[4 * i], last[4 * i + 1], last[4 * i + 2]);
    let changed = 0, brightest = 0;
    last.forEach((value, i) => {
      if (i % 4 < 3) { changed += Math.abs(value - told.first[i]); brightest = Math.max(brightest, value); }
    });
    done({size: [width, video.videoHeight], seconds: video.duration, rim: Math.max(...rim), changed, brightest});
  };
});
(async () => {
  const told = {};
  for (const name of NAMES) told[name] = await play(name);
  await fetch("/told", {method: "POST", body: JSON.stringify(told)});
})();
</script>"""


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Square, wide, tall and around a pyramid's foot; and one that is cut off."""
    folder, (_, y, x) = tmp_path_factory.mktemp("films"), axes(24)
    views = list(turn(Volume(toadstool(24).density, torch.stack([4 * x, y, -4 * x])), 12, 64, 64))
    films = {
        "turntable.mp4": views,
        "black.mp4": [lay_on_black(view, *screen_px(64, is_portrait=False)) for view in views],
        "vertical.mp4": [lay_on_black(view, *screen_px(64, is_portrait=True)) for view in views],
        "pyramid.mp4": [lay_out_pyramid([views[(i + 3 * k) % 12] for k in range(4)]) for i in range(12)],
    }
    for name, frames in films.items():
        write_mp4(folder / name, frames, frames_per_s=30)
    (folder / "broken.mp4").write_bytes((folder / "turntable.mp4").read_bytes()[:200])
    return folder


def _serve(folder, told, is_told):
    """A server on this machine that gives the page and the films, and hears what the browser saw."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = folder / self.path.strip("/")
            names = json.dumps(sorted(each.name for each in folder.glob("*.mp4")))
            data = path.read_bytes() if path.is_file() else PAGE.replace("NAMES", names).encode()
            self.send_response(200)
            self.send_header("Content-Type", "video/mp4" if path.is_file() else "text/html")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self):
            told.update(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()
            is_told.set()

        def log_message(self, *_):
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture(scope="module")
def seen(films, tmp_path_factory):
    """What Chromium says of each film, by name."""
    if CHROMIUM is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    told, is_told = {}, threading.Event()
    server = _serve(films, told, is_told)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    profile = tmp_path_factory.mktemp("profile")
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
    browser = subprocess.Popen(
        [*command, f"http://127.0.0.1:{server.server_port}/"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        if not is_told.wait(PATIENCE_S):
            if browser.poll() is not None:
                pytest.skip(f"{CHROMIUM} does not run here: it ended with {browser.returncode}")
            pytest.fail(f"{CHROMIUM} runs, but told nothing of the films within {PATIENCE_S} s")
    finally:
        browser.terminate()
        browser.wait(20)
        server.shutdown()
        server.server_close()
    return told


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("turntable.mp4", [64, 64]),
        ("black.mp4", [114, 64]),
        ("vertical.mp4", [64, 114]),
        ("pyramid.mp4", [160, 160]),
    ],
)
def test_chromium_plays_a_film_to_its_end_with_exact_black_and_a_form_that_turns(seen, name, size):
    film = seen[name]
    assert film["size"] == size and film["seconds"] == pytest.approx(0.4, abs=0.05)
    assert film["rim"] == 0 and film["brightest"] > 100 and film["changed"] > 1000


def test_chromium_refuses_a_film_that_is_cut_off(seen):
    assert "error" in seen["broken.mp4"]
