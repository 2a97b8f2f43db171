"""accelerate's own loader reads every shipped configuration, and finds in it what the file's name says."""

from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file

FOLDER = Path(__file__).parents[2] / "examples" / "accelerate_configs"
EXPECTED = {  # distributed type, processes, machines
    "cpu_2_processes": ("MULTI_GPU", 2, 1),
    "fsdp2": ("FSDP", 4, 1),
    "multi_gpu": ("MULTI_GPU", 4, 1),
    "two_nodes": ("MULTI_GPU", 8, 2),
}


def test_every_file_is_expected():
    assert sorted(path.stem for path in FOLDER.glob("*.yaml")) == sorted(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_config_loads(name):
    config = load_config_from_file(str(FOLDER / f"{name}.yaml"))
    assert (config.distributed_type.value, config.num_processes, config.num_machines) == EXPECTED[name]
    assert config.use_cpu == (name == "cpu_2_processes")
    if name == "fsdp2":
        assert config.fsdp_config["fsdp_version"] == 2
