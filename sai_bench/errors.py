"""Every error that sai_bench raises on purpose, one type per cause.

The command line prints the message and leaves with `exit_code`: 2 when the input is wrong, 1 when the
work failed. A message says what is wrong, where, what was expected and the next step.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class SaiBenchError(Exception):
    """Base of all deliberate errors; the command line shows its message without a traceback."""

    exit_code = 2


class SpecError(SaiBenchError):
    """A spec is wrong. Carries every problem found, in file order."""

    def __init__(self, problems: Iterable[str]):
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


class WiringError(SaiBenchError):
    """Two components do not fit together, such as a backbone and the features it is given."""


class PluginError(SaiBenchError):
    """A plugin cannot be loaded or breaks the registration rules."""


class UnknownComponentError(SaiBenchError):
    """No component of that kind and name is registered."""


class AudioError(SaiBenchError):
    """A recording cannot be used: unreadable, wrong channel count, NaN samples, too short."""


class AnnotationError(SaiBenchError):
    """A label or prediction file is not valid DCASE JSON."""


class DatasetError(SaiBenchError):
    """A data set is missing, incomplete or contradicts its manifest.

    Carries what is wrong with single files or recordings, a line each, if that is known.
    """

    def __init__(self, message: str, problems: Iterable[str] = ()):
        self.problems = tuple(problems)
        super().__init__("\n".join([message, *self.problems]))


class WeightsError(SaiBenchError):
    """Weights are missing or do not belong to the component that should use them."""


class DeviceError(SaiBenchError):
    """A device that is asked for is not there."""


class OutputError(SaiBenchError):
    """A result cannot be written where it was asked for."""


class RecordError(SaiBenchError):
    """A run record is missing, truncated or of another schema version."""


class CacheError(SaiBenchError):
    """A stored stage result is damaged."""

    exit_code = 1


class StageError(SaiBenchError):
    """A component raised while a stage worked on a recording; its own exception is the cause."""

    exit_code = 1


class ContractError(SaiBenchError):
    """A component broke the contract of its kind, such as a fusion rule that returns NaN."""

    exit_code = 1


class TrainingError(SaiBenchError):
    """Training cannot go on, such as after a loss that is not a number."""

    exit_code = 1


@contextmanager
def component_errors(doing: str) -> Iterator[None]:
    """Turn whatever a component raises (a plugin may even call sys.exit) into a StageError.

    Args:
        doing: what failed, such as `Stage prior failed on recording fold4_room1_mix001`.

    Raises:
        StageError: with the component's exception as its cause; errors of sai_bench pass as they are.
        ContractError: one that the component caused, preceded by what failed.
    """
    try:
        yield
    except ContractError as error:
        raise ContractError(f"{doing}: {error}") from error
    except (SaiBenchError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        raise StageError(
            f"{doing} ({type(error).__name__}: {error}). What was finished "
            "before is kept: repair the component and run the same command again."
        ) from error


def one_line(text: str) -> str:
    """Return a message with escapes for what would take it apart, such as line breaks in file names."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` for the closest choice, or an empty string."""
    close = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""
