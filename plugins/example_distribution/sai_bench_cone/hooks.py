"""What this package registers. Strings only: listing components imports none of them."""

import sai_bench


@sai_bench.hookimpl
def sai_bench_register(register):
    """Register the compressor `cone`."""
    register.component(
        "compressor",
        "cone",
        "sai_bench_cone.compressor:Cone",
        config="sai_bench_cone.configs:ConeConfig",
        summary="a spherical cap as large as the mask, energy falling from its centre to its rim",
    )
