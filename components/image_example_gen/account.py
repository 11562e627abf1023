"""The account of a data folder, and whether the folder is good enough to train on."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from components.image_example_gen.account_rows import REASONS, REJECTED, WARNING
from components.image_example_gen.dealt_groups import MOST_DEALT, groups_needed
from components.image_example_gen.groups import OVERLAPS_OUTPUT
from components.shared.beam_results import read_rows
from crackgate.contracts import stored_example
from crackgate.contracts.account import LISTED_OVERLAPS, Account, AccountRow
from crackgate.plural import counted


def read_account(folder: str, found: int, classes: list[str], splits: Sequence[str] = stored_example.SPLITS) -> Account:
    """Reads the Beam pipeline's results; raises RuntimeError if Beam lost or repeated files."""
    counts: Counter[tuple[str, str]] = Counter()
    for (split, label), count in read_rows(folder, "images"):
        counts[split, label] += count
    numbers = {split: {label: counts[split, label] for label in classes} for split in splits}
    reasons = read_rows(folder, REASONS)
    overlaps = sorted(read_rows(folder, OVERLAPS_OUTPUT), key=lambda row: (-row[0], row[1]))
    account = Account(
        found=found,
        ingested=sum(sum(split.values()) for split in numbers.values()),
        groups=sum(read_rows(folder, "groups")),
        overlapping_groups=len(overlaps),
        overlapping=[paths for _, paths in overlaps[:LISTED_OVERLAPS]],
        rejected=_first_rows(reasons, REJECTED),
        rejected_by_reason=_count(reasons, REJECTED),
        warnings=_first_rows(reasons, WARNING),
        warnings_by_reason=_count(reasons, WARNING),
        splits=numbers,
    )
    if account.ingested + account.rejected_count != found:
        raise RuntimeError(
            f"{found} files were found, but {account.ingested} ingested and {account.rejected_count} rejected: "
            "Beam lost or repeated some. Run again, and report this if it persists."
        )
    return account


def _first_rows(reasons: list[Any], outcome: str) -> list[AccountRow]:
    rows = [
        AccountRow(path=path, class_name=class_name, reason=reason, detail=detail)
        for (found, reason), (_, first) in reasons
        for path, class_name, detail in first
        if found == outcome
    ]
    return sorted(rows, key=lambda row: row.path)


def _count(reasons: list[Any], outcome: str) -> dict[str, int]:
    return {reason: count for (found, reason), (count, _) in reasons if found == outcome}


def find_faults(
    account: Account, classes: list[str], max_rejected_share: float, max_imbalance: float, buckets: Mapping[str, int]
) -> list[str]:
    """One sentence for each reason not to train on these images; `buckets` are the hash buckets of each split."""
    found, rejected = account.found, account.rejected_count
    examples = "; ".join(map(_say, {row.reason: row for row in reversed(account.rejected)}.values()))
    if account.ingested == 0:
        return [f"no usable image among {counted(found, 'file')}" + (f", for example {examples}" if rejected else "")]
    faults = []
    totals = {name: sum(split[name] for split in account.splits.values()) for name in classes}
    if len(classes) < 2:
        faults.append(f"only one class, {classes[0]!r}: a classifier needs two or more")
    empty = [name for name, total in totals.items() if total == 0]
    if empty:
        faults.append(f"no usable image of class {', '.join(map(repr, empty))}: remove the folder or add images")
    # Not a product: 0.29 * 100 is less than 29.
    if rejected / found > max_rejected_share:
        faults.append(
            f"{rejected} of {found} files were rejected ({rejected / found:.1%}), allowed are "
            f"{max_rejected_share:.1%} (data.max_rejected_share), for example {examples}"
        )
    return faults + [
        fault
        for split in account.splits
        for fault in _find_split_faults(account, split, totals, max_imbalance, groups_needed(buckets))
    ]


def _say(rejected: AccountRow) -> str:
    return f"{rejected.path!r} ({': '.join(filter(None, (rejected.reason, rejected.detail)))})"


def _find_split_faults(
    account: Account, split: str, totals: dict[str, int], max_imbalance: float, needed: int
) -> list[str]:
    counts = account.splits[split]
    missing = [name for name, total in totals.items() if total > 0 and counts[name] == 0]
    if missing:
        return [
            f"split {split!r} has no image of class {', '.join(map(repr, missing))}: {account.ingested} images form "
            f"{counted(account.groups, 'group')}. Chance decides the split of groups, unless it is given, and "
            f"{needed} or more with images of every class nearly always fill all splits. Named groups are dealt out "
            f"where they are few ({MOST_DEALT} at most), and {len(account.splits)} of every class are then mostly "
            f"enough: add images, raise data.split.{split}, or make smaller groups (data.group_by)"
        ]
    faults = []
    size = sum(counts.values())
    for name, total in totals.items():
        expected, share = total / account.ingested, counts[name] / size
        # Three standard deviations of a random draw are no imbalance.
        chance = 3 * math.sqrt(expected * (1 - expected) / size)
        if abs(share - expected) > max_imbalance + chance:
            faults.append(
                f"class {name!r} makes up {share:.1%} of split {split!r} and {expected:.1%} of all images, allowed "
                f"is a difference of {max_imbalance:.1%} (data.max_imbalance) beyond chance: a few large groups, of "
                "copies, of images that overlap or of data.group_by, or given splits, decide this split"
            )
    return faults
