"""Time over four processes equals one process: values, states and gradients, however it is cut."""

import pytest

pytest.importorskip("torch.distributed.tensor")

from distributed.on_ranks import (
    Ones,
    carries_its_state,
    dtensors_that_do_not_fit,
    equal_one_process,
    equal_one_process_by_first_samples,
    equals_one_process_as_dtensors,
    leaves_each_rank_its_own,
    messages_of,
    needs_x_alone,
    passes_states_on,
    refuses,
    scans,
)
from distributed.ranks import started
from hypothesis import given, settings
from torch.distributed.tensor import Replicate, Shard

from multirec.testing.problems import Case
from multirec.testing.strategies import cases


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    with started(tmp_path_factory.mktemp("ranks")) as found:
        yield found


UNEVEN = (4, 4, 5)
"""Where ranks 0 to 2 end: one has no samples, one a single one."""

CASES = [
    Case(order=8, input_order=4, layout="BTC"),
    Case(order=5, input_order=1, layout="TBC", reverse=True, shared=True, batch=(2, 3)),
    Case(order=3, feedback="time_varying", input_order=2, reverse=True),
    Case(order=2, feedforward="time_varying", feedback="per_example", layout="BTC", ones=("channels",)),
    Case(order=2, feedforward="per_example", feedback="time_varying", batch=(2, 2), ones=("batch",)),
    Case(order=2, feedback="time_varying", ones=("time",), state="none", through="y"),
    Case(order=1, feedforward="none", feedback="time_varying", layout="BTC", marks="resets"),
    Case(order=2, input_order=3, marks="resets", reverse=True, layout="TBC"),
    Case(dtype="complex128", order=1, feedforward="none", feedback="time_varying", state="outputs"),
    Case(feedback_dtype="complex128", order=2, shared=True),
    Case(feedforward_dtype="complex128", input_order=0),
    Case(dtype="float16", order=2, input_order=1, feedback_dtype="float32"),
    Case(dtype="float32", feedback_dtype="float64", order=2, radius=0.9999),
    Case(dtype="bfloat16", order=1, compute_dtype="float64"),
    Case(feedback="none", input_order=4, state="inputs", through="state"),
    Case(length=2, order=4, input_order=3),
    Case(batch=(), frozen=("feedforward", "feedback")),
    Case(frozen=("x", "state"), shared=True),
]


def test_four_processes_equal_one(ranks):
    ranks.run(equal_one_process, CASES, UNEVEN)


def test_one_sample_a_rank(ranks):
    varying = Case(length=4, feedforward="time_varying", feedback="time_varying", order=2, layout="BTC")
    ranks.run(equal_one_process, [varying], (1, 2, 3))


FADING = [
    Case(length=40, radius=1e-12, layout="TBC", input_order=3, order=2, dtype="float32"),
    Case(length=40, radius=1e-12, feedback="time_varying", feedforward="none", order=1, layout="BTC", reverse=True),
    Case(length=40, radius=1e-12, feedback="per_example", feedforward="time_varying", dtype="float32"),
]


def test_gradients_of_states_that_fade(ranks):
    # the ranks with more than one sample
    counts = ranks.run(equal_one_process_by_first_samples, FADING, (18, 19, 20))
    assert counts == [3, 0, 0, 3]


@pytest.mark.long
@settings(max_examples=150)
@given(cases(order=3).filter(lambda case: 0 not in case.batch))
def test_four_processes_equal_one_whatever_is_asked(ranks, case):
    ranks.run(equal_one_process, [case], UNEVEN, "auto")


@pytest.mark.long
@pytest.mark.parametrize("order", range(1, 9))
def test_long_blocks_of_every_order(ranks, order):
    found = [
        Case(order=order, input_order=order % 3, layout=layout, feedback=kind, length=3000, radius=radius)
        for layout, kind, radius in (
            ("BCT", "static", 0.999),
            ("BTC", "static", 0.5),
            ("TBC", "time_varying", 0.9),
            ("BTC", "per_example", 0.9),
        )
    ]
    ranks.run(equal_one_process, found, (700, 701, 2000), "auto")


SENT = [
    Case(input_order=3, order=2, batch=(2, 2), layout="TBC", length=8),
    Case(feedback="time_varying", feedforward="none", order=1, length=8, marks="resets", dtype="float32"),
    Case(feedback="per_example", order=3, ones=("channels",), length=8, feedback_dtype="complex128"),
    Case(dtype="float16", order=1, shared=True, length=8),
]


@pytest.mark.parametrize("case", SENT, ids=repr)
def test_messages_are_as_few_and_small_as_said(ranks, case):
    for first, (forward, backward, gradients) in (run[:2] for run in ranks.run(messages_of, case, (2, 3, 6), False)):
        added = [("all_reduce", gradients)] if gradients else []
        assert first[0] == first[2] == (("all_gather", forward),)
        assert first[1] == (("all_gather", backward), *added)


def test_messages_in_numbers(ranks):
    # 2 rows of 3 channels: 2 past inputs and 2 past outputs of 8 bytes each, filled up to 16; 3 transitions of 2 × 4
    (_, found), *_ = ranks.run(messages_of, Case(), (3, 6, 9), False)
    assert found == (96 + 96 + 192 + 32, 2 * (96 + 96), 8 * 3 * (3 + 2))


def test_ranks_compare_their_calls_once(ranks):
    case = Case(seed=5, channels=5)
    for _ in range(2):
        counts = [[len(part) for part in run[0]] for run in ranks.run(messages_of, case, (3, 6, 9), True)]
        assert counts in ([[2, 2, 1]] * 4, [[1, 2, 1]] * 4)
    assert counts == [[1, 2, 1]] * 4


DIFFERENT = {
    "taps": ({2: {"feedback": Ones((3, 1))}}, "feedback's shape: (3, 2) on ranks 0, 1, 3, (3, 1) on rank 2"),
    "values": (
        {1: {"feedback": Ones((3, 2), factor=0.5)}},
        "the values of feedback on ranks 0, 2, 3 are others than on ranks 1",
    ),
    "dtype": ({0: {"x": Ones((2, 3, 5), "float64")}}, "x's data type: float64 on rank 0, float32 on ranks 1"),
    "batch": ({3: {"x": Ones((4, 3, 5))}}, "x's batch axes: (2,) on ranks 0, 1, 2, (4,) on rank 3"),
    "layout": ({3: {"reverse": True}}, "reverse: False on ranks 0, 1, 2, True on rank 3"),
    "gradient": ({3: {"x": Ones((2, 3, 5), requires_grad=True)}}, "a gradient of x is wanted"),
    "state": ({2: {"past": Ones((2, 3, 2))}}, "state.outputs: none on ranks 0, 1, 3, given on rank 2"),
    "resets": ({2: {"resets": Ones((2, 5), "bool")}}, "resets: none on ranks 0, 1, 3, given on rank 2"),
    "varying": (
        {2: {"feedback": Ones((2, 3, 5, 2))}, **{rank: {"feedback": Ones((2, 3, 1, 2))} for rank in (0, 1, 3)}},
        "feedback varies along time: False on ranks 0, 1, 3, True on rank 2",
    ),
}


@pytest.mark.parametrize(("changes", "words"), DIFFERENT.values(), ids=DIFFERENT)
def test_ranks_that_ask_for_different_things_all_say_so(ranks, changes, words):
    for kind, text in ranks.run(refuses, changes):
        assert kind == "ArgumentError"
        assert words in text


def test_what_one_rank_cannot_compute_all_refuse(ranks):
    found = ranks.run(refuses, {1: {"x": Ones((2, 3, 5), "int64")}})
    assert found[1][0] == "DtypeError"
    for kind, text in (found[0], found[2], found[3]):
        assert kind == "ArgumentError"
        assert "rank 1: x has dtype int64" in text


@pytest.mark.parametrize("changes", [{"feedback": "taps"}, {"x": Ones((5,))}, {"x": Ones(())}], ids=repr)
def test_what_is_no_signal_on_one_rank_all_refuse(ranks, changes):
    found = ranks.run(refuses, {2: changes})
    assert found[2][0] in ("FamilyError", "ShapeError")
    assert all(kind == "ArgumentError" and "rank 2: " in text for kind, text in (found[0], found[1], found[3]))


def test_states_that_are_passed_on(ranks):
    ranks.run(passes_states_on)


def test_gradients_need_not_be_added_up(ranks):
    ranks.run(leaves_each_rank_its_own)


def test_a_state_is_carried_from_call_to_call(ranks):
    ranks.run(carries_its_state)


def test_ranks_without_samples_have_gradients(ranks):
    ranks.run(needs_x_alone)


def test_scans(ranks):
    ranks.run(scans)


PLACED = {
    "batch, time": ([Shard(0), Shard(1)], "BTC", "static"),
    "time, channels": ([Shard(2), Shard(1)], "BCT", "time_varying"),
    "batch, channels": ([Shard(1), Shard(2)], "TBC", "per_example"),
    "time": ([Replicate(), Shard(0)], "TBC", "static"),
    "one sample a rank": ([Shard(0), Shard(1)], "BTC", "time_varying", 2),
    "one sample": ([Replicate(), Shard(2)], "BCT", "time_varying", 1),
}


@pytest.mark.parametrize("placed", PLACED.values(), ids=PLACED)
def test_dtensors_equal_one_process(ranks, placed):
    ranks.run(equals_one_process_as_dtensors, ("one", "other"), *placed)


def test_dtensors_that_do_not_fit(ranks):
    for found in ranks.run(dtensors_that_do_not_fit):
        words = {
            "partial": ("UnsupportedError", "Redistribute x first"),
            "twice": ("UnsupportedError", "more than one dimension of its mesh cuts time"),
            "mesh_dim": ("AxisError", "does not cut time"),
            "mesh": ("ArgumentError", "a DTensor has its own"),
            "plain": ("UnsupportedError", "multirec.distributed.recurrence"),
            "shared": ("UnsupportedError", "one channel for all of the 4"),
            "no dim": ("AxisError", "named 'a', 'b'"),
            "no such dim": ("AxisError", "'time'"),
            "dim of a group": ("AxisError", "has no dimensions"),
        }
        assert found.keys() == words.keys()
        for name, (kind, text) in words.items():
            assert found[name][0] == kind
            assert text in found[name][1]
