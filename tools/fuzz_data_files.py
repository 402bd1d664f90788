"""Reads random data files with the package and with pandas, pyarrow or json, and counts how the readings differ.

python tools/fuzz_data_files.py --files 10000              # prints a table of counts; exit 1 if something is wrong
python tools/fuzz_data_files.py --only 1234 --keep found   # reads one of them again, and writes it to a folder

A file is drawn from a seed and its number: well-formed in one of many dialects, or then changed (cut, bytes replaced, a
line above the header, ...). It is read in process, up to clean rows and class ids, with its format given or inferred.
Counted are readings that are equal, refused in one line, or wrong: another error than `InputError`, more than five
seconds, other rows than there are (silent), or a refused file that is well-formed and whose format was given.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from fuzz.cases import draw
from fuzz.dialects import compress
from fuzz.judgement import WRONG, judge
from fuzz.outcomes import Counts

MEMORY = Path("/dev/shm")


def fuzz(numbers: Sequence[int], seed: int, *, keep: Path | None = None) -> Counts:
    """Reads the files of these numbers; writes the wrong ones to ``keep``."""
    counts = Counts()
    logging.getLogger("clsnorm").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="torchmetrics")
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        for number in numbers:
            case = draw(seed, number)
            path = Path(folder, f"{number}{case.suffix}")
            path.write_bytes(compress(case.dialect, case.content))
            outcome, detail = judge(case, path, Path(folder))
            counts.add(case, outcome, detail)
            if keep and (outcome in WRONG or len(numbers) == 1):
                keep.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, keep)
                print(f"{path.name}: {outcome}: {case.change}, {case.mode}, {case.dialect}: {detail}")
            path.unlink()
    return counts


def main() -> int:
    """Returns 1 if a file was read wrongly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000, help="how many files")
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="number of the only file")
    parser.add_argument("--keep", type=Path, help="folder for files that were read wrongly")
    given = parser.parse_args()
    start = time.perf_counter()
    numbers = range(given.first, given.first + given.files) if given.only is None else [given.only]
    counts = fuzz(numbers, given.seed, keep=given.keep)
    spent = time.perf_counter() - start
    print(counts.table())
    print(f"\n{len(numbers)} files in {spent:.1f} s, {len(numbers) / spent:.0f} per second\n")
    for reason, count in counts.reasons.most_common(30):
        print(f"{count:7d} refused: {reason}")
    for outcome, found in counts.faults.items():
        for number, detail in found[:10]:
            print(f"{outcome}: file {number}: {detail}")
    return 1 if counts.faults else 0


if __name__ == "__main__":
    sys.exit(main())
