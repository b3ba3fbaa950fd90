"""From the config of a source bank to the bank."""

from __future__ import annotations

from sai_bench_builtin.configs.source_bank import FolderSources, ProceduralSources, VctkSources
from sai_bench_builtin.datasets.source_banks.interface import SourceBank


def open_source_bank(config: ProceduralSources | FolderSources | VctkSources) -> SourceBank:
    """Return the source bank that a config asks for; files are listed, but not opened.

    Raises:
        sai_bench.errors.DatasetError: its folder does not hold what it should.
    """
    if config.use == "folder":
        from sai_bench_builtin.datasets.source_banks.folder import FolderBank

        return FolderBank(config)
    if config.use == "vctk":
        from sai_bench_builtin.datasets.source_banks.vctk import VctkBank

        return VctkBank(config)
    from sai_bench_builtin.datasets.source_banks.procedural import ProceduralBank

    return ProceduralBank()
