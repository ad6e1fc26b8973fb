"""Comparison: published ranks and tests are met again, and the report says mean and spread."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tsrep.errors import InputError
from tsrep.evaluation.compare import paired, ranks, summary, table
from tsrep.evaluation.report import markdown, show, wide
from tsrep.evaluation.report import table as rich_table
from tsrep.evaluation.tidy import tidy

# Accuracy on the UEA archive, 29 sets that all were run on and InsectWingbeat: AutoTCL, ICLR 2024, table 12.
AUTOTCL = """.983 .467 1 .976 1 .7 .901 .978 .944 .354 .581 .64 .432 .384 .785 .984 .833 .554 .57 .944 .838 .984
.218 .914 .891 .578 .925 .533 .893 .488"""
INFOTS = """.993 .267 1 .987 1 .6 .748 .993 .953 .323 .525 .62 .514 .554 .771 .986 .889 .593 .61 .939 .757 .989 .233
.829 .887 .527 .988 .467 .906 .472"""
TS2VEC = """.987 .2 .975 .995 .972 .68 .847 .964 .874 .308 .501 .48 .338 .515 .683 .984 .867 .537 .51 .928 .682 .989
.233 .855 .812 .578 .932 .467 .884 .466"""
TNC = """.973 .133 .975 .967 .958 .46 .84 .957 .852 .297 .536 .47 .324 .249 .746 .978 .817 .595 .5 .911 .699 .979 .207
.776 .799 .55 .934 .4 .759 .469"""
TSTCC = """.953 .267 1 .985 .917 .38 .779 .957 .904 .285 .544 .46 .243 .498 .751 .93 .822 .474 .61 .822 .734 .974 .252
.816 .823 .533 .97 .333 .753 .264"""
TLOSS = """.943 .133 1 .993 .972 .65 .84 .971 .133 .205 .513 .58 .351 .451 .741 .989 .883 .509 .58 .917 .676 .981 .222
.855 .843 .539 .905 .333 .875 .156"""
TST = """.977 .067 .975 .975 1 .62 .748 .949 .874 .262 .534 .56 .243 .225 .746 .978 .656 .408 .5 .85 .74 .56 .085 .809
.754 .55 .923 .267 .575 .105"""
DTW = """.987 .2 .975 .989 1 .6 .618 .964 .133 .323 .529 .53 .231 .286 .717 .949 .87 .551 .5 .883 .711 .977 .151 .803
.775 .539 .963 .2 .903 nan"""


@pytest.fixture(scope="module")
def published() -> pd.DataFrame:
    columns = {"AutoTCL": AUTOTCL, "InfoTS": INFOTS, "TS2Vec": TS2VEC, "TNC": TNC}
    columns |= {"TS-TCC": TSTCC, "T-Loss": TLOSS, "TST": TST, "DTW": DTW}
    return pd.DataFrame({name: np.array(text.split(), float) for name, text in columns.items()})


def results() -> pd.DataFrame:
    rows = [
        {
            "method": method,
            "features": "svm",
            "metric": metric,
            "seed": seed,
            "value": value + 0.01 * seed,
            "seconds": 2.0,
        }
        for method, value in (("ts2vec", 0.9), ("catch22", 0.8))
        for metric in ("accuracy", "macro F1")
        for seed in range(3)
    ]
    return tidy(rows, dataset="Waves", setting="classify")


def test_the_published_lead_is_not_significant(published: pd.DataFrame) -> None:
    against = paired(published["AutoTCL"].to_numpy(), published["InfoTS"].to_numpy())
    assert (against.wins, against.ties, against.losses) == (14, 2, 14)
    assert against.p == pytest.approx(0.47, abs=0.015)
    assert against.difference == pytest.approx(0.0117, abs=1e-4)
    assert paired(published["AutoTCL"].to_numpy(), published["TS2Vec"].to_numpy()).p == pytest.approx(0.001, abs=0.001)
    assert str(against).startswith("14 won, 2 tied, 14 lost of 30; mean difference +0.0117")


def test_the_order_of_two_methods_by_rank_depends_on_the_rule_for_ties(published: pd.DataFrame) -> None:
    filled = published.fillna(0)  # the set that DTW was not run on is its worst
    shared, best = ranks(filled), ranks(filled, ties="min")
    assert shared[["AutoTCL", "InfoTS"]].round(2).tolist() == [2.43, 2.53]
    assert best[["AutoTCL", "InfoTS"]].round(2).tolist() == [2.30, 2.30]
    assert shared.sum() == pytest.approx(36)  # 1 + ... + 8, whatever the ties
    assert ranks(published)["AutoTCL"] == pytest.approx(ranks(published.iloc[:29])["AutoTCL"])


def test_ranks_of_ties_are_as_said() -> None:
    scores = pd.DataFrame({"a": [0.9, 0.5], "b": [0.9, 0.7], "c": [0.1, 0.6]})
    assert ranks(scores).tolist() == [2.25, 1.25, 2.5]
    assert ranks(scores, ties="min").tolist() == [2.0, 1.0, 2.5]
    assert ranks(scores, higher_is_better=False).tolist() == [1.75, 2.75, 1.5]


def test_methods_that_never_differ_have_p_one_and_data_sets_not_run_do_not_count() -> None:
    same = paired(np.array([0.5, 0.6, np.nan]), np.array([0.5, 0.6, 0.7]))
    assert (same.sets, same.ties, same.p) == (2, 2, 1.0)


def test_the_summary_has_mean_sample_sd_and_seeds() -> None:
    row = summary(results()).set_index(["method", "metric"]).loc[("ts2vec", "accuracy")]
    assert row["mean"] == pytest.approx(0.91)
    assert row["sd"] == pytest.approx(0.01)
    assert row["seeds"] == 3
    one = summary(results().query("seed == 0"))
    assert one["sd"].isna().all()


def test_a_seed_counted_twice_is_refused() -> None:
    with pytest.raises(InputError, match="seed 0 of ts2vec on Waves"):
        summary(pd.concat([results(), results()]))


def test_the_table_names_a_probe_where_a_method_has_several() -> None:
    more = pd.concat([results(), results().query("method == 'ts2vec'").assign(features="linear")])
    assert table(more).columns.tolist() == ["ts2vec + svm", "catch22", "ts2vec + linear"]
    with pytest.raises(InputError, match="did you mean 'accuracy'"):
        table(results(), "acuracy")


def test_the_report_says_mean_and_spread_and_marks_the_best() -> None:
    text = wide(results())
    assert text.columns.tolist() == ["method", "accuracy", "macro F1", "seeds", "seconds"]
    lines = markdown(results()).splitlines()
    assert lines[0] == "| method | accuracy | macro F1 | seeds | seconds |"
    assert lines[2] == "| ts2vec | **0.910 ± 0.010** | **0.910 ± 0.010** | 3 | 2.0 |"
    assert lines[3] == "| catch22 | 0.810 ± 0.010 | 0.810 ± 0.010 | 3 | 2.0 |"


def test_two_data_sets_have_a_best_each_and_one_seed_has_no_spread() -> None:
    other = results().assign(dataset="Other").query("seed == 0 and metric == 'accuracy'")
    text = markdown(pd.concat([results(), other]))
    assert text.count("**") == 2 * 3
    assert "| Other | catch22 | 0.800 | – | 1 | 2.0 |" in text


def test_the_terminal_table_holds_the_same_numbers() -> None:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=120)
    console.print(rich_table(results(), "Waves"))
    assert "0.910 ± 0.010" in console.file.getvalue()  # type: ignore[attr-defined]


def forecasts() -> pd.DataFrame:
    """Two feature sets of a method under two seeds, and a baseline, at two horizons."""
    rows = []
    for method, features, seeds, errors in (
        ("ts2vec", "embedding", 2, (0.2, 0.4)),
        ("ts2vec", "both", 2, (0.1, 0.3)),
        ("last value", "none", 1, (0.1, 0.9)),
    ):
        for seed in range(seeds):
            for metric, factor in (("mse", 1.0), ("mae", 1.5), ("validation", 3.0)):
                values = [factor * error + 0.01 * seed for error in errors]
                about = {"method": method, "features": features, "seed": seed, "metric": metric, "seconds": 1.0}
                told = [*zip((24, 720), values, strict=True), ("mean", sum(values) / 2)]
                rows += [{**about, "horizon": horizon, "value": value} for horizon, value in told]
    return tidy(rows, dataset="Waves", setting="forecast, univariate", encoder="none")


def test_forecasts_have_a_row_each_and_a_column_for_each_horizon() -> None:
    frame = forecasts().query("metric != 'validation'")
    text = wide(frame)
    assert text.columns.tolist() == [
        "method", "features", "mse 24", "mse 720", "mean mse", "mean mae", "seeds", "seconds",
    ]  # fmt: skip
    assert text.iloc[0].tolist() == [
        "ts2vec", "embedding", "0.205 ± 0.007", "0.405 ± 0.007", "0.305 ± 0.007", "0.455 ± 0.007", "2", "1.0",
    ]  # fmt: skip
    lines = markdown(frame).splitlines()
    assert len(lines) == 2 + 3
    assert lines[1] == "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    assert (
        lines[3]
        == "| ts2vec | both | 0.105 ± 0.007 | **0.305 ± 0.007** | **0.205 ± 0.007** | **0.305 ± 0.007** | 2 | 1.0 |"
    )
    assert lines[4] == "| last value | none | **0.100** | 0.900 | 0.500 | 0.750 | 1 | 1.0 |"


def test_the_lower_validation_error_is_the_better_one() -> None:
    text = markdown(forecasts())
    assert "**0.605 ± 0.007**" in text  # mean validation of both
    assert text.count("**") == 2 * 5


def test_the_terminal_marks_the_lowest_error_and_is_not_cut_where_it_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = rich_table(forecasts())
    assert [column.header for column in made.columns][:4] == ["method", "features", "mse\n24", "mse\n720"]
    best = {column.header: [str(cell) for cell in column.cells if "[bold]" in str(cell)] for column in made.columns}
    assert best["mse\n24"] == ["[bold]0.100[/bold]"]
    assert best["mse\n720"] == ["[bold]0.305 ± 0.007[/bold]"]
    assert best["method"] == best["features"] == []
    monkeypatch.setenv("COLUMNS", "60")
    show(forecasts(), "Waves")
    said = capsys.readouterr().out
    assert "…" not in said
    assert "0.405 ± 0.007" in said


def test_a_table_that_was_read_from_a_file_is_shown_alike(tmp_path: Path) -> None:
    """Empty cells are NaN then, and whole horizons floats."""
    for number, frame in enumerate((forecasts().query("horizon != 'mean' and metric == 'mse'"), results())):
        path = tmp_path / f"{number}.csv"
        frame.to_csv(path, index=False)
        pd.testing.assert_frame_equal(wide(pd.read_csv(path)), wide(frame))
    both = pd.concat([forecasts(), results()])
    columns = wide(both).columns.tolist()
    assert columns == [
        "setting", "method", "encoder", "features", "mse 24", "mse 720", "mean mse", "mean mae", "mean validation", "accuracy",
        "macro F1", "seeds", "seconds",
    ]  # fmt: skip


def test_a_frame_that_is_not_tidy_is_refused() -> None:
    with pytest.raises(InputError, match=r"missing: .*method"):
        summary(pd.DataFrame({"value": [1.0]}))
    with pytest.raises(InputError, match="did you mean 'dataset'"):
        tidy([{"datset": "x"}])
    with pytest.raises(InputError, match="at least one row"):
        summary(tidy([]))
