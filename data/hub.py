"""What is said where a file is neither in a folder of ours nor to be had from the hub."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub.utils import logging as hub_logging

log = logging.getLogger(__name__)


@contextmanager
def asking_hub(
    what: str, repository: str, mend: str, *, folder: str | None = None, detail: str = ""
) -> Iterator[None]:
    """Turn whatever goes wrong within into one error that says what to do.

    Args:
        what: is looked for.
        repository: of the hub.
        mend: what to do.
        folder: `TITANS_DATA`, where it was looked for before.
        detail: what of the repository it is.

    Raises:
        FileNotFoundError: the hub does not have it, or cannot be reached.
    """
    log.info("%s: looked for in the hub's %s", what, repository)
    # Two lines for each of six attempts would stand before the error.
    verbosity = hub_logging.get_verbosity()
    hub_logging.set_verbosity(logging.ERROR)
    try:
        yield
    # The hub's own errors and those of the connection have no common ancestor but this.
    except Exception as error:
        reason = str(error).partition("\n")[0]
        place = f"not below TITANS_DATA={folder}, and " if folder else ""
        about = f"{detail}; {reason}" if detail else reason
        raise FileNotFoundError(
            f"{what} is {place}not to be had from the hub's {repository} ({about}): {mend}"
        ) from error
    finally:
        hub_logging.set_verbosity(verbosity)
