"""States of several processes add up to the state of one process with all rows."""

import multiprocessing
import os
import socket

import numpy as np
import pytest

from nlp_mixup.calibration import CalibrationBins, all_reduce

torch = pytest.importorskip("torch")
accelerate = pytest.importorskip("accelerate")


def rows():
    rng = np.random.default_rng(0)
    return rng.dirichlet(np.ones(3), 1001), rng.integers(0, 3, 1001)


def _one_process(rank, port, queue):
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    accelerator = accelerate.Accelerator(cpu=True)
    probs, labels = rows()
    half = slice(0, 300) if rank == 0 else slice(300, None)
    mine = CalibrationBins(10).update(probs[half], labels[half])
    pooled = all_reduce(mine, accelerator)
    queue.put((rank, mine.n, pooled.count, pooled.confidence_sum, pooled.correct_sum, pooled.ece))
    torch.distributed.destroy_process_group()


def test_two_processes_equal_one():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    workers = [context.Process(target=_one_process, args=(rank, port, queue)) for rank in (0, 1)]
    for worker in workers:
        worker.start()
    results = sorted((queue.get(timeout=120) for _ in workers), key=lambda result: result[0])
    for worker in workers:
        worker.join(timeout=60)
    whole = CalibrationBins(10).update(*rows())
    assert [result[1] for result in results] == [300, 701]
    for _, _, count, confidence_sum, correct_sum, ece in results:
        assert (count == whole.count).all()
        assert (correct_sum == whole.correct_sum).all()
        assert confidence_sum == pytest.approx(whole.confidence_sum, rel=1e-14)
        assert ece == pytest.approx(whole.ece, abs=1e-15)


def test_one_process_keeps_its_state():
    accelerator = accelerate.Accelerator(cpu=True)
    mine = CalibrationBins(10).update(*rows())
    pooled = all_reduce(mine, accelerator)
    assert pooled is not mine
    assert pooled.ece == mine.ece
