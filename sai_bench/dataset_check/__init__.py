"""Whether the recordings of a data set can be trained and scored on, and what is in them."""

from __future__ import annotations

from sai_bench.dataset_check.cheap import problems_of
from sai_bench.dataset_check.checking import DatasetReport, SplitReport, check_dataset
from sai_bench.dataset_check.findings import Finding
from sai_bench.dataset_check.sound import problems_of_sound

__all__ = ["DatasetReport", "Finding", "SplitReport", "check_dataset", "problems_of", "problems_of_sound"]
