"""A file filtered block by block is the file filtered at once, with its progress, and with few blocks in memory."""

from __future__ import annotations

import sys
import weakref
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import multirec as mr

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import recording

SOS = np.array([[0.1, 0.2, 0.1, 1, -1.6, 0.7], [1, 0, -1, 1, -0.5, 0.2]])
CASCADE = mr.RecurrenceBank.from_sos(SOS, layout="BTC", backend="reference")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.npy"
    np.save(path, np.random.default_rng(0).integers(-9999, 9999, (250, 3), np.int16))
    return path


def test_a_file_in_blocks_is_the_file(source, tmp_path):
    seen, target = [], tmp_path / "target.npy"
    recording.filter_file(source, target, CASCADE, 100, lambda done, of: seen.append((done, of)))
    assert seen == [(100, 250), (200, 250), (250, 250)]
    whole, _ = CASCADE(np.load(source).astype(np.float64))
    np.testing.assert_allclose(np.load(target), whole, rtol=0, atol=1e-5 * np.abs(whole).max())
    assert np.load(target).dtype == np.float32


def test_the_command_filters_with_saved_sections(source, tmp_path, monkeypatch):
    monkeypatch.setattr(mr.RecurrenceBank, "from_sos", partial(mr.RecurrenceBank.from_sos, backend="reference"))
    np.save(tmp_path / "sos.npy", SOS)
    words = [str(source), str(tmp_path / "target.npy"), "--sos", str(tmp_path / "sos.npy"), "--block", "90"]
    done = CliRunner().invoke(recording.command, words, catch_exceptions=False)
    assert done.exit_code == 0
    assert "100%" in done.output
    whole, _ = CASCADE(np.load(source).astype(np.float64))
    np.testing.assert_allclose(np.load(tmp_path / "target.npy"), whole, rtol=0, atol=1e-5 * np.abs(whole).max())


def test_blocks_are_forgotten():
    alive, most = weakref.WeakValueDictionary(), []

    def blocks():
        for number in range(20):
            block = np.ones((50, 3))
            alive[number] = block
            most.append(len(alive))
            yield block

    last = [part[-1] for part in recording.filtered(blocks(), CASCADE)]
    assert max(most) <= 2
    np.testing.assert_allclose(last[-1], CASCADE(np.ones((1000, 3)))[0][-1], atol=1e-12)
