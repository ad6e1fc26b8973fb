"""The page of a classification benchmark: every number on it is one of its rows, or a test of them."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon

from tsrep.errors import InputError
from tsrep.evaluation.page import common, means, page
from tsrep.evaluation.tidy import tidy
from tsrep.pictures import of_ranks

SETS = [f"set{i}" for i in range(8)]
GAIN = np.array([0.01, 0.02, -0.03, 0.04, 0.0, 0.05, 0.06, 0.07])


def rows() -> pd.DataFrame:
    made = []

    def add(dataset: str, method: str, features: str, value: float, seed: int = 0, **more: object) -> None:
        encoder = "none" if method in ("minirocket", "dtw") else "dilated"
        about: dict[str, object] = {"setting": "classify", "metric": "accuracy", "seconds": 1.0}
        about |= {"dataset": dataset, "method": method, "encoder": encoder, "features": features}
        made.append({**about, "value": value, "seed": seed, **more})

    for place, (name, gain) in enumerate(zip(SETS, GAIN, strict=True)):
        base = 0.6 + place / 100
        for seed in range(2):
            for reading, bonus in (("max, svm", 0.0), ("rich, ridge", 0.05)):
                own = base + bonus + seed / 500
                add(name, "ts2vec", reading, own, seed)
                add(name, "ts2vec + bad pairs", reading, own + gain, seed)
            add(name, "minirocket", "ridge", 0.7, seed)
            add(name, "ts2vec", "", 10.0 * (place + 1), seed, metric="training seconds")
            add(name, "ts2vec", "", 100.0, seed, metric="memory MB")
        if place < 3:
            add(name, "dtw", "1-NN", 0.5)
    for draw in range(3):
        for metric in ("accuracy", "macro F1"):
            add("set0", "ts2vec", "max, linear", 0.8 + draw / 10, setting=f"5 % of labels, draw {draw}", metric=metric)
    return tidy(made, commit="abc")


def section(text: str, title: str) -> str:
    return text.partition(f"## {title}\n")[2].partition("\n## ")[0]


def cells(text: str, first: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


@pytest.fixture(scope="module")
def text() -> str:
    return page(
        rows(), hosts={"ts2vec + bad pairs": "ts2vec"}, published={"set0": 0.61, "set7": 0.69}, uneven=("set0",)
    )


def test_every_reading_has_its_mean_rank_and_test_against_the_baseline(text: str) -> None:
    together = section(text, "All sets together")
    scores = means(rows()[(rows()["metric"] == "accuracy") & (rows()["setting"] == "classify")])
    ours = scores["ts2vec (max, svm)"]
    p = wilcoxon(ours - scores["minirocket (ridge)"]).pvalue
    wins = int((ours > 0.7).sum())
    expected = ["8", "2", f"{ours.mean():.3f}", f"{ours.mean():.3f}"]
    found = cells(together, "ts2vec (max, svm)")
    assert found[:4] == expected
    assert found[5:] == [f"{wins} / 0 / {8 - wins}", f"{(ours - 0.7).mean():+.3f}", f"{p:.2g}"]
    ranked = common(scores)
    place = (-ranked).rank(axis=1)["ts2vec (max, svm)"].mean()
    assert found[4] == f"{place:.2f}"


def test_what_was_run_on_a_few_sets_has_no_rank_and_is_named_as_not_run(text: str) -> None:
    assert cells(section(text, "All sets together"), "dtw (1-NN)")[:5] == ["3", "1", "0.500", "–", "–"]
    assert f"- dtw: {', '.join(SETS[3:])}" in section(text, "Not run")
    assert "ts2vec" not in section(text, "Not run")


def test_every_set_has_mean_and_spread_and_what_was_published(text: str) -> None:
    table = section(text, "max, svm, by set")
    assert cells(table, "set0") == ["0.601 ± 0.001", "0.611 ± 0.001", "**0.700 ± 0.000**", "0.500", "0.610"]
    assert cells(table, "set1")[-1] == "–"
    assert "Over the 2 sets with a published number: 0.636 here, 0.650 published (-0.014)" in table
    assert "published" not in section(text, "rich, ridge, by set")


def test_what_is_added_is_tested_in_pairs_and_the_sets_it_harms_are_named(text: str) -> None:
    added = section(text, "ts2vec + bad pairs against ts2vec")
    over_sets = wilcoxon(GAIN[GAIN != 0]).pvalue
    found = cells(added, "max, svm")
    assert found[:2] == ["8", "2"], "n of the test, and seeds"
    assert found[4:] == [f"{GAIN.mean():+.4f}", "0.0000", "12 / 2 / 2", "6 / 1 / 1", f"{over_sets:.2g}"]
    assert "- max, svm: set2 -0.030" in added


def test_more_seeds_of_the_same_sets_make_no_difference_more_certain() -> None:
    """Pairs over sets: a seed more changes the means, not the n; what seeds differ by is shown beside."""
    frame = rows()
    guest = frame["method"] == "ts2vec + bad pairs"
    frame.loc[guest, "value"] += np.where(frame.loc[guest, "seed"] == 0, 0.003, -0.003)
    copies = [frame[frame["dataset"] == "set0"].assign(seed=lambda f, more=more: f["seed"] + more) for more in (2, 4)]
    few, many = (
        cells(
            section(page(made, hosts={"ts2vec + bad pairs": "ts2vec"}), "ts2vec + bad pairs against ts2vec"), "max, svm"
        )
        for made in (frame, pd.concat([frame, *copies]))
    )
    assert (few[1], many[1]) == ("2", "2–6")
    assert few[5] == f"{0.006 / np.sqrt(2):.4f}"
    assert few[0] == many[0] == "8" and few[7:] == many[7:]


def test_few_labels_are_averaged_over_draws_and_stay_out_of_the_other_tables(text: str) -> None:
    few = section(text, "Few labels")
    assert cells(few, "ts2vec (max, linear)") == ["0.900 ± 0.100", "0.900 ± 0.100"]
    assert "over 3 draws" in few
    assert "max, linear" not in section(text, "All sets together")


def test_time_is_summed_over_sets_and_memory_is_not(text: str) -> None:
    costs = cells(section(text, "Time and memory"), "ts2vec")
    assert costs == ["8", "45.0", "80.0 (set7)", "360", "–", "–", "–", "100", "100 (set0)"]


def test_the_picture_of_ranks_is_drawn_of_the_same_rows() -> None:
    accuracy = rows()[lambda frame: (frame["metric"] == "accuracy") & (frame["setting"] == "classify")]
    figure = of_ranks(accuracy, highlight=["ts2vec"], title="Waves")
    told = " ".join(t.get_text() for t in figure.axes[0].texts)
    assert "minirocket (ridge)" in told
    assert "dtw" not in told  # no rank
    assert "Waves: 8 sets" in figure.axes[0].get_title(loc="left")


def test_rows_without_accuracies_are_refused() -> None:
    with pytest.raises(InputError, match="accuracies with setting 'classify'"):
        page(rows()[lambda frame: frame["metric"] == "memory MB"])
