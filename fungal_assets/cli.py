"""The command `fungal`: thin words over the Dagster jobs and the store.

Exit codes: 0 done, 1 something failed that the message names, 2 the command was not understood (click's own).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, TextIO

import click
import platformdirs

from fungal_assets import __version__
from fungal_assets.errors import FungalError
from fungal_assets.profiles import METHODS, PROFILES, RESOLUTIONS
from fungal_assets.store import Store

store_option = click.option(
    "--store",
    default=lambda: os.environ.get("FUNGAL_STORE", "store"),
    show_default="$FUNGAL_STORE, else ./store",
    help="Where outputs are kept: a folder or a URL such as s3://bucket/prefix.",
)
profile_option = click.option(
    "--profile",
    type=click.Choice(list(PROFILES)),
    default=lambda: os.environ.get("FUNGAL_PROFILE", "pocket"),
    show_default="$FUNGAL_PROFILE, else pocket",
    help="Row of the preset table.",
)


def settings_option(example: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option `--set` of a command that makes one asset."""
    return click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="FIELD=VALUE",
        help=f"Change one setting, such as {example}; may be repeated.",
    )


def plainly(command: Callable[..., Any]) -> Callable[..., Any]:
    """Print what a user can mend as one line, without a traceback."""

    @wraps(command)
    def wrapper(*args: Any, **options: Any) -> Any:
        try:
            return command(*args, **options)
        except FungalError as error:
            raise click.ClickException(str(error)) from error

    return wrapper


@contextmanager
def quiet_libraries(log: Path, *, tells_on: int = 2) -> Iterator[TextIO]:
    """Send what this process and its children print into a log file.

    Yields what stood before at the file descriptor `tells_on`, for what is to be seen: 1 standard output, 2 errors.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush(), sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    with log.open("w") as file, os.fdopen(os.dup(tells_on), "w", buffering=1) as terminal:
        os.dup2(file.fileno(), 1), os.dup2(file.fileno(), 2)
        try:
            yield terminal
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            for target, source in enumerate(kept, 1):
                os.dup2(source, target)
                os.close(source)


def home() -> Path:
    """The Dagster home: $DAGSTER_HOME, else ./dagster_home."""
    return Path(os.environ.get("DAGSTER_HOME") or "dagster_home").absolute()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, package_name="fungal_assets")
def main() -> None:
    """Grow new species of fungi, as pictures and as solid objects, from a folder of photographs."""


@main.command()
@click.option(
    "--source",
    metavar="SOURCE",
    help="A folder, archive or Parquet table of pictures, a CSV of URLs, hf:owner/name, "
    "inaturalist:TAXON or gbif:TAXON; left out, the package's specimens.",
)
@store_option
@profile_option
@click.option(
    "--resolution", type=click.Choice(RESOLUTIONS), help="Side of the pictures; the profile's by default."
)
@click.option("--method", type=click.Choice(METHODS), help="How to fine-tune; the profile's by default.")
@click.option(
    "--species", multiple=True, metavar="NAME", help="Grow this species as an object; may be repeated."
)
@click.option("--until", metavar="ASSET", help="Stop after this asset.")
@click.option(
    "--with",
    "branches",
    type=click.Choice(["ancestors"]),
    multiple=True,
    help="Grow this branch after the road: ancestors, the artist's first roads.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="ASSET.FIELD=VALUE",
    help="Change one setting of an asset, such as forms_3d.iterations=400; may be repeated.",
)
@plainly
def grow(
    source: str | None,
    store: str,
    profile: str,
    resolution: str | None,
    method: str | None,
    species: tuple[str, ...],
    until: str | None,
    branches: tuple[str, ...],
    settings: tuple[str, ...],
) -> None:
    """Grow from pictures to videos and the field guide.

    What is complete and unchanged is not made again; what was interrupted is gone on with.
    """
    from fungal_assets.growth import grow as run_growth
    from fungal_assets.growth import plan_growth, prepare_environment
    from fungal_assets.reporting import collect_figures, outputs_of, table_of

    growth = plan_growth(
        profile=profile,
        store=store,
        source=source,
        resolution=resolution,
        method=method,
        species=species,
        until=until,
        settings=settings,
        branches=branches,
    )
    prepare_environment(growth.store, growth.profile, home(), is_offline=growth.is_offline)
    with quiet_libraries(home() / "logs" / "last-growth.log") as terminal:
        note = run_growth(growth, tell=lambda line: click.echo(line, file=terminal))
    kept = Store(growth.store)
    click.echo(table_of(collect_figures(kept)))
    click.echo()
    for output in outputs_of(kept, note):
        click.echo(f"{output.record.asset:<20} {output.path}")
    guide = [
        output.path / "index.html"
        for output in outputs_of(kept, note)
        if output.record.asset == "field_guide"
    ]
    click.echo(f"\ndone in {note['seconds']:.0f} s" + (f"; open {guide[0]}" if guide else ""))


@main.command()
@click.argument("objects", nargs=-1, metavar="[OBJECT]...")
@store_option
@profile_option
@click.option(
    "--pictures", "has_pictures", is_flag=True, help="Breed pictures instead, from evolved ones or chance."
)
@click.option(
    "--session", help="Name of the breeding; go on with it by it.  [default: breeding, or pictures]"
)
@click.option("--seed", default=0, show_default=True, help="Seed of all chance of a new breeding.")
@click.option("--port", default=3200, show_default=True, help="Port on localhost; 0 for a free one.")
@plainly
def breed(
    objects: tuple[str, ...],
    store: str,
    profile: str,
    has_pictures: bool,
    session: str | None,
    seed: int,
    port: int,
) -> None:
    """Breed forms by eye, from OBJECTs, on a page at localhost; or pictures.

    An OBJECT is a mesh (GLB, OBJ, STL, PLY), 'form:NAME' for a grown form, or 'fungarium:MORPHOTYPE'. Left out, the
    breeding of that name is gone on with, or begun from the grown forms. Everything is kept as it happens.
    """
    from fungal_assets.ancestors.serving import BreedingServer
    from fungal_assets.ancestors.sessions import open_pictures, open_session
    from fungal_assets.defs.ancestors_cppn import newest_forms, newest_pictures, observe_saved
    from fungal_assets.growth import prepare_environment
    from fungal_assets.profiles import get_profile

    if has_pictures and objects:
        raise click.UsageError("pictures descend from no object; leave out --pictures or the OBJECTs.")
    kept = Store(store)
    prepare_environment(kept.root, get_profile(profile), home())
    newest = (newest_pictures if has_pictures else newest_forms)(kept)
    folder = None if newest is None else newest.path
    if has_pictures:
        opened = open_pictures(kept.root, session or "pictures", folder, seed=seed)
    else:
        opened = open_session(kept.root, session or "breeding", objects, folder, seed=seed, tell=click.echo)
    try:
        server = BreedingServer(opened, port=port, on_save=observe_saved)
    except OSError as error:
        raise click.ClickException(
            f"port {port} is taken ({error.strerror}); give another: --port 0"
        ) from error
    click.echo(f"breeding in {opened.folder}; open {server.url} (Ctrl-C ends)")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()
        click.echo("ended; nothing is lost")


@main.command()
@store_option
@profile_option
@click.option("--port", default=3000, show_default=True, help="Port on localhost.")
@plainly
def ui(store: str, profile: str, port: int) -> None:
    """Serve the Dagster UI on localhost, with the same runs and outputs."""
    from fungal_assets.growth import prepare_environment
    from fungal_assets.profiles import get_profile

    prepare_environment(Store(store).root, get_profile(profile), home())
    command = [sys.executable, "-m", "dagster", "dev", "-h", "127.0.0.1", "-p", str(port)]
    command += ["-m", "fungal_assets.definitions"]
    os.execv(sys.executable, command)


@main.command()
@click.argument("asset")
@click.option("--partition", metavar="KEY", help="Partition key, such as 128 or 'lora|128'.")
@store_option
@plainly
def where(asset: str, partition: str | None, store: str) -> None:
    """Print the folder of the newest complete output of ASSET, and nothing else."""
    from fungal_assets.growth import NOTE

    kept = Store(store)
    outputs = (kept.read_note(NOTE) or {}).get("outputs", {})
    if partition is None:
        partition = outputs[asset] if asset in outputs else kept.newest_partition(asset)
    click.echo(kept.get(asset, partition).path)


@main.command()
@click.option("--partition", metavar="KEY", help="Partition key of the weights, such as 'lora|128'.")
@settings_option("pictures=16")
@store_option
@plainly
def atlas(partition: str | None, settings: tuple[str, ...], store: str) -> None:
    """Draw where in the tuned model pictures of several sizes part ways, in some minutes."""
    from fungal_assets.growth import draw_atlas

    with quiet_libraries(home() / "logs" / "last-atlas.log") as terminal:
        output = draw_atlas(
            partition,
            settings,
            store=store,
            home=home(),
            tell=lambda line: click.echo(line, file=terminal),
        )
    for sentence in json.loads((output.path / "atlas.json").read_text())["findings"]:
        click.echo(sentence)
    click.echo(output.path / "atlas.webp")


@main.command()
@click.option("--resolution", type=click.Choice(RESOLUTIONS), help="Side of the pictures; the last growth's.")
@settings_option("most_models=3")
@store_option
@plainly
def compare(resolution: str | None, settings: tuple[str, ...], store: str) -> None:
    """Put all tuned weights of a resolution that the store has reports on beside each other and their base model."""
    from fungal_assets.growth import compare_weights

    with quiet_libraries(home() / "logs" / "last-comparison.log") as terminal:
        output = compare_weights(
            resolution, settings, store=store, home=home(), tell=lambda line: click.echo(line, file=terminal)
        )
    click.echo((output.path / "comparison.md").read_text())
    click.echo(json.loads((output.path / "comparison.json").read_text())["finding"])
    click.echo(output.path / "index.html")


@main.command()
@click.argument("what", type=click.Choice(["dataset", "weights"]))
@click.option(
    "--repo", "repo_id", required=True, metavar="OWNER/NAME", help="Repository; made if there is none."
)
@click.option("--branch", default="main", show_default=True, help="Its branch; made if there is none.")
@click.option(
    "--public", is_flag=True, help="Let everybody see a new repository, or publish to a public one."
)
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Tell what would be done, and change nothing.")
@click.option(
    "--delete-foreign", "deletes_foreign", is_flag=True, help="Take away files that no publication sent."
)
@click.option("--partition", metavar="KEY", help="Partition key, such as 128 or 'lora|128'.")
@store_option
@plainly
def publish(
    what: str,
    repo_id: str,
    branch: str,
    public: bool,
    is_dry_run: bool,
    deletes_foreign: bool,
    partition: str | None,
    store: str,
) -> None:
    """Bring the dataset or the weights of the last growth to the Hugging Face hub.

    Needs a token with the right to write in the environment variable HF_TOKEN. What lies there already is not sent
    again; what was interrupted is gone on with.
    """
    from fungal_assets.growth import publish_output

    settings = {
        "repo_id": repo_id,
        "branch": branch,
        "is_private": not public,
        "is_dry_run": is_dry_run,
        "deletes_foreign": deletes_foreign,
    }
    with quiet_libraries(home() / "logs" / "last-publication.log") as terminal:
        output = publish_output(
            what,
            partition,
            settings,
            store=store,
            home=home(),
            tell=lambda line: click.echo(line, file=terminal),
        )
    if output is not None:
        click.echo(output.record.figures["url"])


@main.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option(
    "--weights",
    type=click.Choice(("plain", "ema")),
    default="plain",
    show_default=True,
    help="The weights themselves, or their running average where the checkpoint holds one.",
)
@click.option("--like", metavar="BASE", help="Base model of the same architecture; needed for a folder.")
@plainly
def convert(checkpoint: Path, output: Path, weights: str, like: str | None) -> None:
    """Read a single-file checkpoint safely, and write its inference weights in half precision.

    OUTPUT is a file that ends in .safetensors, or else a diffusers folder, which can be a base model.
    """
    from fungal_assets.diffusion.single_files import convert_checkpoint

    log = platformdirs.user_log_path("fungal_assets") / "last-convert.log"
    with quiet_libraries(log, tells_on=1) as terminal:
        figures = convert_checkpoint(
            checkpoint, output, weights=weights, like=like, tell=lambda line: click.echo(line, file=terminal)
        )
    click.echo(f"{figures['before_mb']} MB before, {figures['after_mb']} MB after: {output}")


@main.command()
@store_option
@click.option("--json", "as_json", is_flag=True, help="One flat JSON object.")
@plainly
def report(store: str, as_json: bool) -> None:
    """Print the figures of the last growth."""
    from fungal_assets.reporting import collect_figures, table_of

    figures = collect_figures(Store(store))
    click.echo(json.dumps(figures, indent=1) if as_json else table_of(figures))


@main.command()
@store_option
@plainly
def audit(store: str) -> None:
    """Check every output of the last growth again, as it lies in the store."""
    from fungal_assets.auditing import audit_growth

    failed = 0
    log = platformdirs.user_log_path("fungal_assets") / "last-audit.log"
    with quiet_libraries(log, tells_on=1) as terminal:
        for finding in audit_growth(Store(store)):
            line = f"{'✓' if finding.passed else '✗'} {finding.output}.{finding.check}: {finding.text}"
            click.echo(line, file=terminal)
            failed += not finding.passed
    if failed:
        raise click.ClickException(f"{failed} checks failed")


@main.command()
@store_option
@plainly
def doctor(store: str) -> None:
    """Say what is missing on this machine, and the command that mends it."""
    from fungal_assets.doctor import examine

    findings = examine(store)
    for finding in findings:
        remedy = "" if finding.is_well else f"; mend it with: {finding.remedy}"
        click.echo(f"{'✓' if finding.is_well else '✗'} {finding.what}: {finding.found}{remedy}")
    if not all(finding.is_well for finding in findings):
        raise SystemExit(1)
