"""Do the statistics of experiments keep their promises? On simulated experiments and on the open-bandit logs.

Experiments are looked at every day: false alarms without an effect, power with the planned effect, coverage. `--data`
names a folder with open-bandit logs: what a policy earned is estimated from the log of another.
"""

import argparse
from dataclasses import replace
from math import sqrt
from pathlib import Path
from statistics import mean, median

import numpy as np
import polars as pl

import interleaving_worlds
from experiment_worlds import Outcome, World, share, variance_of_a_unit, watch
from lemo.statistics.interleaving import units_for
from lemo.statistics.off_policy import Log, cross_fitted, doubly_robust, ips, snips
from lemo.statistics.sequential import POWER, plan

PER_DAY = 100
LIFT = 0.12


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=2000, help="of each kind (default: 2000)")
    parser.add_argument("--data", type=Path, default=Path("../shared/datasets/open-bandit"))
    arguments = parser.parse_args()
    print(f"{arguments.experiments:,} experiments of each kind, looked at every day; error +-1.96 standard errors\n")
    worlds = {
        "clicks per impression (delta method)": World(),
        "clicks per user": World(ratio=False),
        "clicks per user, CUPED": World(ratio=False, cuped=True),
        "users return": World(returning=True),
    }
    print(f"{'':<44}{'decided':>16}{'covered, all looks':>20}{'at the end':>12}{'lift, all looks':>17}{'blocked':>9}")
    for name, world in worlds.items():
        line(f"A/A, {name}", simulate(world, arguments.experiments))
    for name, world in list(worlds.items())[:3]:
        planned = plan(variance_of_a_unit(world), replace(world, lift=LIFT).true_difference, 2 * PER_DAY)
        effect = replace(world, lift=LIFT, days=planned.days, per_day=PER_DAY)
        outcomes = simulate(effect, max(200, arguments.experiments // 4), planned.units)
        line(f"A/B, {name}", outcomes, "better")
        days = median(outcome.day for outcome in outcomes)
        kept = mean(outcome.last.variance_kept for outcome in outcomes)
        print(
            f"    planned for power {POWER}: {planned.units:,} units, {planned.days} days (one look: "
            f"{planned.units_for_one_look:,} units); median day of the verdict {days:.0f}; variance kept {kept:.2f}"
        )
    interleavings(arguments.experiments)
    if arguments.data.is_dir():
        open_bandit(arguments.data)
    else:
        print(f"\nNo open-bandit logs in {arguments.data}: left out.")


def interleavings(experiments: int) -> None:
    """False alarms where half of the users like each ranking, and power with a known preference."""
    print(f"\nInterleaving, looked at every day\n{'':<44}{'decided':>16}{'covered, all looks':>20}")
    for fans in (0.5, 0.56):
        world = interleaving_worlds.World(fans=fans, days=14 if fans == 0.5 else 40, per_day=100)
        planned = units_for(2 * world.true_share - 1) if fans != 0.5 else 1_400
        random = np.random.default_rng(20)
        rounds = experiments if fans == 0.5 else max(200, experiments // 4)
        found = [interleaving_worlds.watch(world, random, planned) for _ in range(rounds)]
        rate = mean(each.decision == "better" if fans != 0.5 else each.decision != "undecided" for each in found)
        error = 1.96 * sqrt(rate * (1 - rate) / rounds)
        name = f"true share {world.true_share:.3f}, planned {planned:,} units"
        print(f"{name:<44}{rate:>9.3f} ±{error:.3f}{mean(each.always_covered for each in found):>20.3f}", flush=True)


def simulate(world: World, experiments: int, tightest_at: int | None = None) -> list[Outcome]:
    """Independent experiments in one world."""
    random = np.random.default_rng(20)
    return [watch(world, random, tightest_at) for _ in range(experiments)]


def line(name: str, outcomes: list[Outcome], decision: str = "") -> None:
    """One row of the table: `decision` counted, else any."""
    hits = [each.decision == decision if decision else each.decision != "undecided" for each in outcomes]
    rate, error = mean(hits), 1.96 * sqrt(mean(hits) * (1 - mean(hits)) / len(hits))
    covered = f"{share(outcomes, 'always_covered'):>20.3f}{share(outcomes, 'covered_at_end'):>12.3f}"
    others = f"{share(outcomes, 'lift_covered'):>17.3f}{share(outcomes, 'blocked'):>9.3f}"
    print(f"{name:<44}{rate:>9.3f} ±{error:.3f}{covered}{others}", flush=True)


def open_bandit(folder: Path) -> None:
    """Each policy's click rate from the log of the other, beside what it got."""
    print(f"\nOpen-bandit, clicks per 1,000 impressions\n{'':<30}{'got (95 % interval)':>24}", end="")
    print(f"{'SNIPS':>22}{'IPS':>22}{'doubly robust':>22}{'effective of rows':>20}")
    for campaign in ("men", "women"):
        logs = {policy: read(folder / policy / campaign / f"{campaign}.csv") for policy in ("random", "bts")}
        for logged, wanted in (("random", "bts"), ("bts", "random")):
            log, actions, policy = off_policy_log(logs[logged], logs[wanted], wanted)
            truth = logs[wanted]["click"].to_numpy().mean()
            error = 1.96 * sqrt(truth * (1 - truth) / logs[wanted].height)
            estimates = (snips(log), ips(log), doubly_robust(log, *cross_fitted(log, actions, policy)))
            got = f"{1000 * truth:.1f} ({1000 * (truth - error):.1f} to {1000 * (truth + error):.1f})"
            cells = [f"{1000 * e.value:.1f} ({1000 * e.low:.1f} to {1000 * e.high:.1f})" for e in estimates]
            print(f"{campaign + ': ' + wanted + ' from ' + logged:<30}{got:>24}", end="")
            print(
                "".join(f"{cell:>22}" for cell in cells) + f"{estimates[0].effective:>10,.0f} of {log.rewards.size:,}"
            )
            for warning in estimates[0].warnings:
                print(f"    {warning}")


def read(path: Path) -> pl.DataFrame:
    """What is needed of one log."""
    columns = ["item_id", "position", "click", "propensity_score"]
    return pl.read_csv(path, columns=columns)


def off_policy_log(logged: pl.DataFrame, wanted: pl.DataFrame, name: str) -> tuple[Log, np.ndarray, np.ndarray]:
    """The log weighted towards the other policy; actions are (item, position)'s items, `policy` (rows, items).

    The random policy's probabilities are known. Those of the other (Thompson sampling, which moved in time) are how
    often it showed an item in a position; its clicks are not read.
    """
    items = int(max(logged["item_id"].max(), wanted["item_id"].max())) + 1  # type: ignore[arg-type, type-var]
    table = np.zeros((4, items))
    if name == "random":
        table[:] = 1 / items
    else:
        np.add.at(table, (wanted["position"].to_numpy(), wanted["item_id"].to_numpy()), 1.0)
        table /= np.maximum(table.sum(axis=1, keepdims=True), 1)
    actions, positions = logged["item_id"].to_numpy(), logged["position"].to_numpy()
    target = table[positions, actions]
    return Log.of(logged["click"].to_numpy(), logged["propensity_score"].to_numpy(), target), actions, table[positions]


if __name__ == "__main__":
    main()
