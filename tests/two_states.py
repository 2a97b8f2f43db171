"""Adds up calibration states in one of two processes; started by calibration/test_distributed.py."""

import os

import numpy as np

from nlp_mixup.calibration import CalibrationBins, all_reduce


def rows():
    rng = np.random.default_rng(0)
    return rng.dirichlet(np.ones(3), 1001), rng.integers(0, 3, 1001)


def one_process(rank, port, queue):
    import accelerate
    import torch

    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    accelerator = accelerate.Accelerator(cpu=True)
    probs, labels = rows()
    half = slice(0, 300) if rank == 0 else slice(300, None)
    mine = CalibrationBins(10).update(probs[half], labels[half])
    pooled = all_reduce(mine, accelerator)
    queue.put((rank, mine.n, pooled.count, pooled.confidence_sum, pooled.correct_sum, pooled.ece))
    torch.distributed.destroy_process_group()
