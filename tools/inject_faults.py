"""Makes file operations of real commands fail, one at a time, and runs the same commands again.

python tools/inject_faults.py enumerate run --modes kill,enospc,eio,truncate   # first, middle and last of each file
python tools/inject_faults.py enumerate sweep --all --jobs 4                   # every single one
python tools/inject_faults.py one run --mode enospc --number 9300001           # one of them, with all output
python tools/inject_faults.py night --kills 500 --processes 1,2                # SIGKILL at random moments

The second command must end as if nothing had happened, or say in one line what to do. See docs/reliability.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from faults import campaign, forks, interposer, night
from faults.commands import COMMANDS, write_inputs
from faults.points import thin
from faults.trials import WRONG, Bench, Trial, conduct

SETTINGS = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "WANDB_MODE": "offline", "TOKENIZERS_PARALLELISM": "false",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1"}  # fmt: skip
PROGRESS = 100  # trials between two lines


def prepare(command: str, folder: Path, count: int, overrides: list[str] | None = None) -> list[Bench]:
    """Writes the inputs and returns ``count`` benches that run the command."""
    forks.warm_up()
    inputs = folder / "inputs"
    inputs.mkdir(parents=True)
    if os.waitpid(forks.fork(lambda: int(write_inputs(inputs) is not None)), 0)[1]:
        raise RuntimeError("the inputs could not be written")
    chosen = COMMANDS[command].with_overrides(overrides or [])
    return [Bench(chosen, folder / str(number), inputs) for number in range(count)]


def enumerate_faults(options: argparse.Namespace, folder: Path) -> int:
    """Injects all chosen faults and prints the counts; returns 1 if a trial is wrong."""
    benches = prepare(options.command, folder, options.jobs, options.overrides)
    started = time.monotonic()
    points = benches[0].learn()
    only, operations = (text.split(",") if text else [] for text in (options.only, options.operations))
    chosen = campaign.tasks(points, options.modes.split(","), options.by, only, operations)
    tried = {point.operation.number for point, _ in chosen}
    print(f"{options.command}: {len(points)} operations, {len(tried)} of them tried, {len(chosen)} faults", flush=True)

    def report(trial: Trial, ended: int) -> None:
        if trial.verdict == WRONG:
            print(f"  {trial.mode} at {trial.number}: {trial.name} {trial.file}: {trial.reasons[0]}", flush=True)
        if ended % PROGRESS == 0:
            print(f"  {ended} of {len(chosen)} after {time.monotonic() - started:.0f} s", flush=True)

    trials = campaign.run_all(benches, chosen, report, copied=options.copied)
    print(campaign.table(trials))
    if found := campaign.wrong(trials, " ".join([options.command, *options.overrides])):
        print(found)
    print(f"{time.monotonic() - started:.0f} s")
    if options.json:
        options.json.write_text(json.dumps([asdict(trial) for trial in trials], indent=1))
    return int(any(trial.verdict == WRONG for trial in trials))


def show_one(options: argparse.Namespace, folder: Path) -> int:
    """Injects one fault and prints what both commands said; returns 1 if the trial is wrong."""
    (bench,) = prepare(options.command, folder, 1, options.overrides)
    points = bench.learn()
    (point,) = [point for point in thin(points, "operation") if point.operation.number == options.number]
    trial = conduct(bench, point, options.mode)
    print(json.dumps(asdict(trial), indent=1))
    bench.reset()
    for mode, number in ((options.mode, options.number), (None, 0)):
        outcome, _ = bench.run(mode, number)
        print(f"---- status {outcome.status}\n{outcome.error}")
    return int(trial.verdict == WRONG)


def spend_night(options: argparse.Namespace, folder: Path) -> int:
    """Kills commands at random until enough kills are counted; returns 1 if anything was wrong after one."""
    draw, trials, benches = random.Random(options.seed), [], {}
    names = [name for count in options.processes.split(",") for name in night.COMMANDS[int(count)]]
    while sum(len(trial.moments) for trial in trials) < options.kills:
        name = names[len(trials) % len(names)]
        if name not in benches:
            (bench,) = prepare(name, folder / name.replace(" ", "_"), 1)
            benches[name] = bench, night.time_command(bench, shell=not options.forks)
        trial = night.kill_at_random(name, *benches[name], draw, shell=not options.forks)
        trials.append(trial)
        print(f"{name}: killed at {', '.join(trial.moments)}: {'; '.join(trial.reasons) or 'equal'}", flush=True)
    print(night.summary(trials))
    return int(any(trial.reasons for trial in trials))


def main() -> int:
    """Runs the chosen action and returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="action", required=True)
    listed = commands.add_parser("enumerate", help="fail at each file operation of a command")
    listed.add_argument("command", choices=COMMANDS)
    listed.add_argument("--modes", default="kill,enospc,eio,truncate")
    listed.add_argument("--by", choices=["kind", "file", "operation"], default="file", help="see thin() in points.py")
    listed.add_argument("--all", dest="by", action="store_const", const="operation", help="the same as --by operation")
    listed.add_argument("--only", help="kinds of files, such as last.ckpt,lock")
    listed.add_argument("--operations", help="kinds of operations, such as write,rename")
    listed.add_argument("--copied", action="store_true", help="take what kills leave from one run; see states.py")
    listed.add_argument("--jobs", type=int, default=os.cpu_count())
    listed.add_argument("--json", type=Path, help="also write all trials to this file")
    single = commands.add_parser("one", help="inject one fault and show what happens")
    single.add_argument("command", choices=COMMANDS)
    single.add_argument("--mode", choices=interposer.MODES, required=True)
    single.add_argument("--number", type=int, required=True)
    random_kills = commands.add_parser("night", help="kill commands at random moments")
    random_kills.add_argument("--kills", type=int, default=500)
    random_kills.add_argument("--processes", default="1,2", help="of the commands: some of 1, 2 and 4")
    random_kills.add_argument("--seed", type=int, default=0, help="of the moments")
    random_kills.add_argument("--forks", action="store_true", help="skip the imports of commands on one process")
    for each in (listed, single):
        each.add_argument("overrides", nargs="*", help="more of the command, such as trainer.max_steps=5")
    for each in (listed, single, random_kills):
        each.add_argument("--checkout", type=Path, default=forks.checkout, help="working tree whose code is run")
    options = parser.parse_args()
    forks.checkout = options.checkout.resolve()
    os.environ.update(SETTINGS)
    os.environ["PYTHONPATH"] = str(forks.checkout / "src")
    interposer.start_under([sys.executable, *sys.argv])
    sys.path.insert(0, str(forks.checkout / "src"))
    with tempfile.TemporaryDirectory(prefix="clsnorm-faults-") as folder:
        actions = {"enumerate": enumerate_faults, "one": show_one, "night": spend_night}
        return actions[options.action](options, Path(folder).resolve())


if __name__ == "__main__":
    sys.exit(main())
