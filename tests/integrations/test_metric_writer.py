"""Numbers wait for their batch, arrive in order, and are counted when they do not."""

import threading
from itertools import pairwise

from tsrep.integrations.metric_writer import MetricWriter


def test_nothing_is_sent_before_a_batch_is_full_and_everything_at_the_end():
    sent = []
    writer = MetricWriter(sent.append, most=10, pause=3600)
    for step in range(1, 5):
        writer.add(step, {"loss": step / 2, "rate": 0.1})
    assert sent == []
    assert writer.close() == 0
    assert [(p.name, p.value, p.step) for p in sent[0]] == [
        pair for step in range(1, 5) for pair in (("loss", step / 2, step), ("rate", 0.1, step))
    ]


def test_batches_hold_whole_steps_in_order():
    sent = []
    writer = MetricWriter(sent.append, most=5, pause=3600)
    for step in range(1, 101):
        writer.add(step, {"a": 0.0, "b": 1.0})
    assert writer.close() == 0
    steps = [[p.step for p in batch] for batch in sent]
    assert [step for batch in steps for step in batch] == [step for step in range(1, 101) for _ in "ab"]
    assert max(map(len, steps)) <= 5
    assert all(left[-1] < right[0] for left, right in pairwise(steps))


def test_a_step_never_waits_for_the_store():
    entered, leave = threading.Event(), threading.Event()

    def slow(points):
        entered.set()
        assert leave.wait(60)

    writer = MetricWriter(slow, most=1, pause=3600)
    writer.add(1, {"loss": 1.0})
    assert entered.wait(60)
    for step in range(2, 50):  # the store is busy all the while
        writer.add(step, {"loss": 1.0})
    leave.set()
    assert writer.close() == 0


def test_hurry_sends_what_is_there():
    arrived = threading.Event()
    writer = MetricWriter(lambda points: arrived.set(), pause=3600)
    writer.add(1, {"loss": 1.0})
    writer.hurry()
    assert arrived.wait(60)
    writer.close()


def test_a_failure_is_tried_again_and_nothing_is_lost_or_doubled():
    sent, failures = [], iter([OSError("locked")])

    def store(points):
        for failure in failures:
            raise failure
        sent.extend(points)

    writer = MetricWriter(store, most=2, pause=0.01)
    for step in range(1, 8):
        writer.add(step, {"loss": 0.0})
    assert writer.close() == 0
    assert [p.step for p in sent] == list(range(1, 8))
    assert writer.error is None


def test_what_is_lost_is_counted_with_its_reason():
    def store(points):
        raise OSError("disk full")

    writer = MetricWriter(store, most=2, pause=0.01)
    for step in range(3):
        writer.add(step, {"loss": 0.0, "rate": 0.0})
    assert writer.close() == 6
    assert str(writer.error) == "disk full"


def test_a_store_that_hangs_does_not_hold_up_the_end():
    leave = threading.Event()
    writer = MetricWriter(lambda points: leave.wait(60), most=1, pause=3600)
    writer.add(1, {"loss": 0.0})
    assert writer.close(patience=0.05) == 1
    assert isinstance(writer.error, TimeoutError)
    leave.set()
