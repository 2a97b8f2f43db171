"""States of several processes add up to the state of one process with all rows."""

import multiprocessing
import socket

import pytest
from two_states import one_process, rows

from nlp_mixup.calibration import CalibrationBins, all_reduce

torch = pytest.importorskip("torch")
accelerate = pytest.importorskip("accelerate")


def test_two_processes_equal_one():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    workers = [context.Process(target=one_process, args=(rank, port, queue)) for rank in (0, 1)]
    for worker in workers:
        worker.start()
    results = sorted((queue.get() for _ in workers), key=lambda result: result[0])
    for worker in workers:
        worker.join()
    whole = CalibrationBins(10).update(*rows())
    assert [result[1] for result in results] == [300, 701]
    for _, _, count, confidence_sum, correct_sum, ece in results:
        assert (count == whole.count).all()
        assert (correct_sum == whole.correct_sum).all()
        assert confidence_sum == pytest.approx(whole.confidence_sum, rel=1e-14)
        assert ece == pytest.approx(whole.ece, abs=1e-15)


def testone_process_keeps_its_state():
    accelerator = accelerate.Accelerator(cpu=True)
    mine = CalibrationBins(10).update(*rows())
    pooled = all_reduce(mine, accelerator)
    assert pooled is not mine
    assert pooled.ece == mine.ece
