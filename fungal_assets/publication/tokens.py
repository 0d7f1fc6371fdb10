"""The token of the hub: read from the environment when it is used, and nowhere else; never shown.

It is no setting, so that no run config, record or page can hold it; whatever the hub says passes through `redact`.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fungal_assets.errors import PublicationError

TOKEN_VARIABLE = "HF_TOKEN"
TOKENS_PAGE = "https://huggingface.co/settings/tokens"
RIGHT_NEEDED = "write access to the contents of the repositories of the account that is published to"

_TOKEN = re.compile(r"[!-~]+")


def read_token() -> str:
    """The token in `$HF_TOKEN`.

    Raises:
        PublicationError: There is none, or something that can be none; the message says where to make one and with
            which right, and nothing of what was found.
    """
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        raise PublicationError(
            f"no token: the environment variable {TOKEN_VARIABLE} is not set. Make a token at {TOKENS_PAGE} "
            f"with {RIGHT_NEEDED}, then type: export {TOKEN_VARIABLE}=hf_..."
        )
    if not _TOKEN.fullmatch(token):
        raise PublicationError(
            f"{TOKEN_VARIABLE} holds blanks, line breaks or signs that no token has. Set it again to one token from "
            f"{TOKENS_PAGE}, with nothing before or behind it."
        )
    return token


def redact(text: str, token: str) -> str:
    """The text with the token taken out."""
    return text.replace(token, f"${TOKEN_VARIABLE}")


@contextmanager
def logs_redacted(token: str) -> Iterator[None]:
    """While it lasts, no log line of any library holds the token: some print all headers that a server answers with."""
    make = logging.getLogRecordFactory()

    def make_redacted(*args: Any, **options: Any) -> logging.LogRecord:
        record = make(*args, **options)
        if token in f"{record.msg} {record.args}":
            record.msg, record.args = redact(record.getMessage(), token), None
        return record

    logging.setLogRecordFactory(make_redacted)
    try:
        yield
    finally:
        logging.setLogRecordFactory(make)
