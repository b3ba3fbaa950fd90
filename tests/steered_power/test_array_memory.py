from __future__ import annotations

import dataclasses

import torch

from sai_bench.sphere import ArrayGeometry, mic_array
from sai_bench_builtin.backbones.array_memory import ArrayMemory

CPU = torch.device("cpu")


def counting():
    """Return a memory, and the arrays for which it had to compute."""
    computed = []

    def compute(array, device):
        computed.append(array.name)
        return array.name, device

    return ArrayMemory(compute), computed


def arrays(number):
    return [ArrayGeometry(f"array {n}", mic_array().positions_m * (n + 1)) for n in range(number)]


def test_what_belongs_to_an_array_is_computed_once():
    memory, computed = counting()
    array, equal = mic_array(), mic_array()

    assert memory(array, CPU) == ("mic", CPU)
    assert memory(equal, CPU) is memory(array, CPU)
    assert computed == ["mic"]


def test_geometry_baffle_and_device_are_told_apart():
    memory, computed = counting()
    array = mic_array("open")

    for one in (array, mic_array("rigid"), ArrayGeometry("wide", array.positions_m * 2, "open")):
        memory(one, CPU)
    memory(array, torch.device("meta"))
    memory(dataclasses.replace(array, name="renamed"), CPU)

    assert computed == ["mic", "mic", "wide", "mic"]


def test_the_oldest_is_forgotten_when_there_are_too_many():
    memory, computed = counting()
    several = arrays(5)

    for array in (*several[:4], several[0], several[4], several[1]):
        memory(array, CPU)
    assert computed == ["array 0", "array 1", "array 2", "array 3", "array 4"]

    memory(several[0], CPU)
    assert computed[-1] == "array 0"
