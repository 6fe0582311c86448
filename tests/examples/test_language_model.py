"""The language model: its text, its short form, its steps, its speeches in rows, and its table."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "examples" / "language_model"
sys.path.insert(0, str(FOLDER))
import compare  # noqa: E402
import corpus as text_of  # noqa: E402
import models  # noqa: E402
import over_processes  # noqa: E402
import train as program  # noqa: E402
import training  # noqa: E402

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorials" / "language-model.md"
RESULTS = json.loads((FOLDER / "results.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def corpus():
    return text_of.load()


@pytest.fixture(autouse=True)
def one_thread():
    """Keep torch's threads from waiting for each other beside other tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small(name, corpus):
    torch.manual_seed(0)
    return models.language_model(models.UNITS[name], len(corpus.alphabet), hidden_dim=12).double()


def speeches(corpus, count):
    starts = text_of.starts_of(corpus.train, corpus).nonzero()[:, 0].tolist()
    return [corpus.train[begin:end] for begin, end in pairwise(starts[: count + 1])]


def test_text_is_cut_into_speeches(corpus):
    assert text_of.PLAYS.stat().st_size > 200_000
    assert 0.09 < len(corpus.valid) / len(corpus.train) < 0.12
    assert corpus.decode(corpus.encode("\nKING:\n")) == "\nKING:\n"
    first, second, *_ = (corpus.decode(speech) for speech in speeches(corpus, 3))
    assert first == "\nFirst Citizen:\nBefore we proceed any further, hear me speak.\n"
    assert second == "\nAll:\nSpeak, speak.\n"
    assert bool(text_of.starts_of(corpus.valid, corpus)[0])


def test_shuffled_speeches_are_the_same_speeches(corpus):
    torch.manual_seed(0)
    other = text_of.shuffled(corpus.train, corpus)
    assert len(other) == len(corpus.train)
    assert not other.equal(corpus.train)
    cut = (corpus.decode(text).split("\n\n") for text in (other, corpus.train))
    shuffled, before = (sorted(speech.strip() for speech in speeches) for speeches in cut)
    assert shuffled == before


def test_rows_are_read_one_after_the_other(corpus):
    rows = text_of.packed(corpus.train, corpus, 5)
    assert rows.inputs[:, 0].equal(corpus.train[: len(rows.inputs)])
    assert rows.inputs[1:].equal(rows.targets[:-1])
    blocks = list(rows.blocks(1000))
    assert torch.cat([block.starts for block in blocks]).equal(rows.starts)


@pytest.mark.long
def test_a_short_training_learns_more_than_how_frequent_letters_are(corpus, capsys):
    torch.manual_seed(0)
    settings = training.Settings(steps=25, batch=8, block=48, rate=0.01)
    trained = program.main("QRNN", settings, budget=100_000, length=5)
    shares = torch.bincount(corpus.train).double() / len(corpus.train)
    frequencies = -(shares * shares.clamp_min(1e-9).log()).sum().item()
    assert trained.valid < frequencies - 0.4
    assert trained.losses[0] > frequencies
    assert "on unseen text" in capsys.readouterr().out


@pytest.mark.parametrize("name", models.UNITS)
def test_steps_are_the_parallel_call(name, corpus):
    model = small(name, corpus)
    letters = corpus.train[:24].view(12, 2)
    whole, _ = model(letters)
    states, steps = None, []
    for letter in letters:
        logits, states = model.step(letter, states)
        steps.append(logits)
    torch.testing.assert_close(torch.stack(steps), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["QRNN", "SRU"])
def test_what_is_written_is_what_the_parallel_call_finds_most_likely(name, corpus):
    model = small(name, corpus)
    wrote = training.write(model, corpus, length=20, start="\nKING", temperature=1e-6)
    logits, _ = model(corpus.encode("\nKING" + wrote)[:-1, None])
    assert corpus.decode(logits[4:, 0].argmax(-1)) == wrote


@pytest.mark.parametrize("name", [name for name in models.UNITS if not name.startswith("nn.")])
def test_packed_speeches_are_read_as_if_alone(name, corpus):
    model = small(name, corpus)
    parts = speeches(corpus, 3)
    row = torch.cat(parts)
    packed, _ = model(row[:, None], resets=text_of.starts_of(row, corpus)[:, None])
    alone = [model(part[:, None])[0] for part in parts]
    torch.testing.assert_close(packed, torch.cat(alone), rtol=0, atol=1e-12)
    unmarked, _ = model(row[:, None])
    assert (unmarked - packed).abs().max() > 1e-4


def test_gradients_are_cut_between_blocks_and_states_are_not(corpus):
    torch.manual_seed(0)
    settings = training.Settings(steps=2, batch=2, block=6, rate=0.0)
    model = small("MinGRU", corpus)
    losses = list(training.train(model, corpus, settings))
    rows = text_of.packed(corpus.train, corpus, 2)
    logits, _ = model(rows.inputs[:12])
    assert losses[1] == pytest.approx(training.loss_of(logits[6:], rows.targets[6:12]).item(), abs=1e-9)


@pytest.mark.parametrize("name", models.UNITS)
def test_models_are_of_one_size(name, corpus):
    kept = RESULTS["units"].get(name)
    found = models.weights(models.of_size(models.UNITS[name], len(corpus.alphabet)))
    assert 0.99 * models.WEIGHTS < found <= models.WEIGHTS
    assert kept is None or kept["weights"] == found


def test_the_best_of_ours_is_about_as_good_as_gru():
    assert {"nn.RNN", "nn.GRU", "nn.LSTM"} <= RESULTS["units"].keys() <= RESULTS["step_seconds"].keys()
    losses = {name: unit["points"][-1][1] for name, unit in RESULTS["units"].items()}
    ours = min(loss for name, loss in losses.items() if not name.startswith("nn."))
    assert ours <= 1.05 * losses["nn.GRU"]


def test_the_table_in_the_tutorial_is_of_the_saved_run():
    lines = TUTORIAL.read_text(encoding="utf-8").splitlines()
    begin = lines.index("| " + " | ".join(compare.HEAD) + " |") + 2
    wanted = ["| " + " | ".join(row) + " |" for row in compare.rows(RESULTS)]
    assert lines[begin : begin + len(wanted)] == wanted
    assert not lines[begin + len(wanted)]


@pytest.mark.long
def test_a_comparison_is_kept(tmp_path, corpus):
    kept = tmp_path / "results.json"
    found = compare.document(["QRNN"], training.Settings(steps=1, batch=2, block=4), kept)
    assert json.loads(kept.read_text(encoding="utf-8")) == found
    assert compare.rows(found)[0][0] == "QRNN"
    assert found["units"]["QRNN"]["points"][0][0] == 1


@pytest.mark.long
def test_four_processes_train_as_one(capsys):
    pytest.importorskip("torch.distributed.tensor")
    one, four = over_processes.main(settings=over_processes.SETTINGS._replace(steps=3, batch=4, block=8))
    assert four == pytest.approx(one, abs=1e-9)
    assert "step  2" in capsys.readouterr().out
