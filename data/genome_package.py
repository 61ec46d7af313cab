"""A whole genome that a Debian package ships, for a machine that has none."""

import gzip
import hashlib
import logging
from pathlib import Path

from data.packages import AbsentError, debian_file
from data.store import cache_folder, digest, write_atomically

PACKAGE = "bowtie-examples"
MEMBER = "NC_008253.fna.gz"
# Of the FASTA file: a package that is built anew may compress it otherwise.
SHA256 = "cdd0874c881adf3e1819d22b7e49cffa3c761b0793a1b1f10b1c074eeadb4789"
REMEDY = "name a genome of your own with task.fasta=FILE"

log = logging.getLogger(__name__)


def escherichia_coli() -> Path:
    """Return the FASTA file of E. coli 536, from the cache or from the package.

    Raises:
        AbsentError: the package cannot be had here, or holds something else.
    """
    cached = cache_folder() / "genomes" / "ecoli_536.fa"
    if not cached.is_file() or digest(cached) != SHA256:
        log.info("genome: E. coli 536 from the Debian package %s, once", PACKAGE)
        write_atomically(cached, _fetch())
    return cached


def _fetch() -> bytes:
    try:
        content = gzip.decompress(debian_file(PACKAGE, MEMBER))
    except AbsentError as error:
        raise AbsentError(f"no genome: {error}; {REMEDY}, or run apt-get update") from error
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise AbsentError(f"no genome: {PACKAGE} does not hold the known {MEMBER}; {REMEDY}")
    return content
