"""What can go wrong, as one small tree.

MorerlError            our user can fix it: the message says what, where, and how
├── ConfigError        settings: unknown key, impossible combination
├── DataError          a file or line of a corpus, a guideline, a prediction
└── ImageError         one picture that cannot be used, with the reason's short name

Model output and single corpus lines are data, not errors: a bad one is a named, counted problem.
`ImageError` becomes such a problem wherever pictures are read in bulk.
"""


class MorerlError(Exception):
    """Root of every error a user is expected to read. Carries a message; the CLI exits with 2."""


class ConfigError(MorerlError):
    """The settings cannot be used as they stand."""


class DataError(MorerlError):
    """An input file is missing, malformed or contradicts another one."""


def install(extra: str) -> str:
    """The command that puts an extra of pyproject.toml into the environment of a checkout, and leaves its pins."""
    return f"uv pip install --override constraints.txt --editable '.[{extra}]'"


class ImageError(MorerlError):
    """A picture that cannot be used. `reason` is a short stable name, fit for counting."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
