"""Where breedings of a store are, which children were saved in them, and how one is opened.

Belongs here: finding sessions. What a session is stands in `breeding`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from fungal_assets.ancestors.breeding import FORM_NOTES, Session
from fungal_assets.errors import InputError
from fungal_assets.progress import Tell, stay_silent


def breeding_folder(root: str) -> Path:
    """Where sessions of a store are: in it, or in the user's data where the store is not on this machine."""
    if "://" not in root:
        return Path(root) / "breeding"
    key = hashlib.sha256(root.encode()).hexdigest()[:12]
    return platformdirs.user_data_path("fungal_assets") / "breeding" / key


def list_saved(root: str, notes_name: str = FORM_NOTES) -> list[Path]:
    """The folders of all children that were bred and saved, of all sessions of a store: forms or pictures."""
    return sorted(path.parent for path in breeding_folder(root).glob(f"*/saved/*/{notes_name}"))


def open_session(
    root: str,
    name: str,
    objects: Sequence[str],
    forms_3d: Path | None,
    *,
    seed: int = 0,
    tell: Tell = stay_silent,
) -> Session:
    """The session of a name in a store: the one that is there, or a new one of some objects.

    Args:
        root: Of the store.
        name: Letters, digits, `-` and `_`.
        objects: Addresses as `origins` reads them; none to go on with what is there, or for its choice.
        forms_3d: The complete output `forms_3d`, where there is one.
        seed: Of all chance of a new session.
        tell: Told of progress.

    Raises:
        InputError: The name cannot be one, an object is not found or cannot be mended, or the session has others.
    """
    from fungal_assets.ancestors.keeping import save_ancestor
    from fungal_assets.ancestors.origins import choose_origins, read_origin
    from fungal_assets.ancestors.reproduction import measure_faithfully

    folder = _folder_of(root, name)
    if not objects and (folder / "session.json").exists():
        return _expect(Session(folder), "creature")
    ancestors = []
    for address in choose_origins(objects, forms_3d):
        field, _ = measure_faithfully(*read_origin(address, forms_3d))
        tell(f"ancestor {field.name}")
        ancestors.append({"name": field.name, "path": save_ancestor(folder, field)})
    return Session.begin(folder, {"ancestors": ancestors, "seed": seed})


def open_pictures(root: str, name: str, cppn_pictures: Path | None, *, seed: int = 0) -> Session:
    """The session of pictures of a name in a store: the one that is there, or a new one from evolved pictures.

    Args:
        root: Of the store.
        name: Letters, digits, `-` and `_`.
        cppn_pictures: The complete output of that name; None to begin from chance.
        seed: Of all chance of a new session.

    Raises:
        InputError: The name cannot be one, or its session is of forms.
    """
    from fungal_assets.ancestors.bred_pictures import read_beginning

    folder = _folder_of(root, name)
    if (folder / "session.json").exists():
        return _expect(Session(folder), "picture")
    return Session.begin(folder, {"pictures": read_beginning(cppn_pictures), "seed": seed})


def _folder_of(root: str, name: str) -> Path:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,60}", name):
        raise InputError(f"session {name!r} is no name for a folder; use letters, digits, - and _.")
    return breeding_folder(root) / name


def _expect(session: Session, noun: str) -> Session:
    if session.subject.noun != noun:
        raise InputError(
            f"the session {session.folder.name!r} breeds {session.subject.noun}s, not {noun}s; give another name: "
            "--session NAME"
        )
    return session
