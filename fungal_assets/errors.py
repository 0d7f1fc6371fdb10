"""The exceptions that the package raises on purpose, in one small tree.

    FungalError                 anything a user can cause or mend; the command line prints it without a traceback
    ├── InputError              what was given cannot be used: a folder, a table, a setting
    ├── ProvenanceError         an artefact is missing, incomplete or not what its record says
    ├── TrainingError           training cannot go on: loss is not finite, gradients are dead, weights do not fit
    ├── PublicationError        the hub refuses, does not answer, or holds something else than was sent
    └── MissingExtraError       an optional library is not installed

A message says what was found, what was expected, and the next thing to type. Bugs raise the built-in exceptions.
"""


class FungalError(Exception):
    """Base of everything that the package raises on purpose."""


class InputError(FungalError):
    """What was given cannot be used."""


class ProvenanceError(FungalError):
    """An artefact is missing, incomplete, or not what its record says."""


class TrainingError(FungalError):
    """Training cannot go on, and the message says what to change."""


class PublicationError(FungalError):
    """The hub refuses, does not answer, or holds something else than was sent.

    Args:
        message: What happened and what to do; it never holds the token.
        status: The HTTP status that the hub answered with, where it did.
    """

    def __init__(self, message: str, *, status: int | None = None):
        super().__init__(message)
        self.status = status


class MissingExtraError(FungalError):
    """An optional library is not installed; the message is the command that installs it."""
