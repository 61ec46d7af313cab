"""What Linux says of a process and of the machine."""

import re


def kilobytes(file: str, name: str) -> int:
    """A size in a file of `/proc`, in units of 1,024 bytes.

    Raises:
        OSError: there is no such file, or it does not name that size.
    """
    with open(file, encoding="utf-8") as lines:
        found = re.search(rf"^{name}:\s*(\d+) kB", lines.read(), re.MULTILINE)
    if not found:
        raise OSError(f"{file} has no {name}")
    return int(found[1])
